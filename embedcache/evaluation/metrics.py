"""Scores of a classifier from labels and predictions, every row with a weight.

The weight is how often a bootstrap drew the row; without one each row counts
once. Weights of many replicates, (…, N), are scored together. N is the number
of rows, K the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Counts",
    "Ranking",
    "cell_log_loss",
    "confusion",
    "mean_of_defined",
    "row_log_loss",
]

_SMALLEST = float(np.finfo(np.float64).eps)  # scikit-learn's `log_loss` clips here as well


@dataclass(frozen=True, eq=False)
class Counts:
    """How often each class is true, predicted, and both.

    Attributes:
        support: (…, K) float64, rows of the class.
        predicted: (…, K) float64, rows predicted as the class.
        correct: (…, K) float64, rows of the class that are predicted as it.
    """

    support: NDArray[np.float64]
    predicted: NDArray[np.float64]
    correct: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        labels: NDArray[np.integer],
        predicted: NDArray[np.integer],
        k: int,
        weight: NDArray[np.float64] | None = None,
    ) -> Counts:
        """Count rows, (N,) labels and predictions in 0 to K − 1, of weights (…, N)."""
        if weight is None:
            weight = np.ones(len(labels))
        hits = weight * (labels == predicted)
        return cls(
            _sums(labels, weight, k),
            _sums(predicted, weight, k),
            _sums(labels, hits, k),
        )

    @property
    def recall(self) -> NDArray[np.float64]:
        """(…, K) share of a class that is found; NaN for a class without rows."""
        return _ratio(self.correct, self.support)

    @property
    def precision(self) -> NDArray[np.float64]:
        """(…, K) share of a prediction that is right; NaN for a class never predicted."""
        return _ratio(self.correct, self.predicted)

    @property
    def f1(self) -> NDArray[np.float64]:
        """(…, K) harmonic mean of recall and precision; NaN for a class that never occurs."""
        return _ratio(2 * self.correct, self.support + self.predicted)

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """(…) share of rows predicted right."""
        return _ratio(self.correct.sum(-1), self.support.sum(-1))

    @property
    def balanced_accuracy(self) -> NDArray[np.float64]:
        """(…) mean recall of the classes that have rows."""
        return mean_of_defined(self.recall)

    @property
    def macro_f1(self) -> NDArray[np.float64]:
        """(…) mean F1 of the classes that occur."""
        return mean_of_defined(self.f1)

    @property
    def micro_f1(self) -> NDArray[np.float64]:
        """(…) F1 of all classes pooled; NaN where none occurs."""
        occurring = self.support.sum(-1) + self.predicted.sum(-1)
        return _ratio(2 * self.correct.sum(-1), occurring)


def mean_of_defined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(…) mean of the values (…, K) that are not NaN; NaN where all are."""
    defined = ~np.isnan(values)
    total = np.where(defined, values, 0.0).sum(-1)
    return _ratio(total, defined.sum(-1))


def _sums(codes: NDArray[np.integer], weight: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Weight of each code, (…, K) float64."""
    rows = weight.reshape(-1, len(codes))
    cells = codes + k * np.arange(len(rows))[:, None]
    sums = np.bincount(cells.ravel(), rows.ravel(), k * len(rows))
    return sums.astype(np.float64, copy=False).reshape(*weight.shape[:-1], k)


def _ratio(part: NDArray[np.float64], whole: NDArray[Any]) -> NDArray[np.float64]:
    quotient = np.full(np.shape(part), np.nan)
    np.divide(part, whole, out=quotient, where=np.asarray(whole > 0))
    return quotient


def row_log_loss(
    labels: NDArray[np.integer], probabilities: NDArray[np.float64]
) -> NDArray[np.float64]:
    """−log of the probability given to each true class, (N,) float64 in nats.

    Probabilities below 2.2e-16 count as that, 36 nats: one row must not decide alone.

    Args:
        labels: (N,) true classes.
        probabilities: (N, K).
    """
    given = probabilities[np.arange(len(labels)), labels]
    losses: NDArray[np.float64] = -np.log(np.maximum(given, _SMALLEST))
    return losses


def cell_log_loss(
    truth: NDArray[np.bool_], probabilities: NDArray[np.float64]
) -> NDArray[np.float64]:
    """−log of the probability given to each label's presence or absence, (N, K) in nats.

    Bounded as in `row_log_loss`.

    Args:
        truth: (N, K) bool, whether the row has the label.
        probabilities: (N, K) that it has.
    """
    given = np.where(truth, probabilities, 1 - probabilities)
    losses: NDArray[np.float64] = -np.log(np.maximum(given, _SMALLEST))
    return losses


def confusion(
    labels: NDArray[np.integer], predicted: NDArray[np.integer]
) -> tuple[tuple[int, int, int], ...]:
    """The non-zero cells of the confusion matrix: true class, predicted class, rows.

    Sparse, as a thousand classes have a million cells and a few thousand test rows.
    """
    pairs = np.stack([labels, predicted], axis=1)
    cells, counts = np.unique(pairs, axis=0, return_counts=True)
    return tuple(
        (int(true), int(guess), int(count))
        for (true, guess), count in zip(cells, counts, strict=True)
    )


class Ranking:
    """Rows of two classes ordered by score: what AUROC and average precision need.

    Sorted once and weighted often: by a bootstrap two thousand times.

    Args:
        positive: (N,) bool, rows of the class that a high score stands for.
        score: (N,) float64.
    """

    def __init__(self, positive: NDArray[np.bool_], score: NDArray[np.float64]) -> None:
        self._order = np.argsort(-score, kind="stable")
        self._positive = positive[self._order]
        falling = score[self._order]
        self._blocks = np.flatnonzero(np.r_[True, falling[1:] != falling[:-1]])

    def auroc(self, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        """(…) probability that a positive row outranks a negative one, ties counting half.

        NaN where a class has no weight. Source: Hanley & McNeil (1982), *The meaning and
        use of the area under a ROC curve*.
        """
        return self.both(weight)[0]

    def average_precision(self, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        """(…) sum over thresholds of the gain in recall times precision, without interpolation.

        NaN where the positive class has no weight. The definition of scikit-learn's
        `average_precision_score`.
        """
        return self.both(weight)[1]

    def both(self, weight: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """AUROC and average precision, by one pass over rows of weights (…, N)."""
        positives, negatives = self._by_block(weight)
        found, total = np.cumsum(positives, axis=-1), positives.sum(-1)
        above = ((found - positives / 2) * negatives).sum(-1)
        precision = np.nan_to_num(_ratio(found, found + np.cumsum(negatives, axis=-1)))
        return (
            _ratio(above, total * negatives.sum(-1)),
            _ratio((positives * precision).sum(-1), total),
        )

    def _by_block(
        self, weight: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights of positive and negative rows, summed over rows of equal score."""
        weight = weight[..., self._order]
        positives = np.add.reduceat(weight * self._positive, self._blocks, axis=-1)
        return positives, np.add.reduceat(weight, self._blocks, axis=-1) - positives
