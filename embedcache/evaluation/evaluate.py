"""`evaluate`: all scores of a set of predictions, their intervals and the majority baseline.

N is the number of rows, K the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.intervals import MIN_UNITS, Interval, bootstrap, share_interval
from embedcache.evaluation.metrics import Counts, Ranking, confusion, row_log_loss
from embedcache.evaluation.units import row_units

__all__ = ["ClassScore", "Evaluation", "Score", "evaluate"]


@dataclass(frozen=True)
class Score:
    """One score of all rows.

    Attributes:
        name: `accuracy`, `balanced accuracy`, `macro-F1`, `log-loss`; for two classes
            also `AUROC` and `average precision`.
        value: The score, None where undefined.
        interval: Of this fitted head; None where the rows allow none.
        baseline: The same score of the majority baseline, which gives every row the
            class shares of the training rows.
    """

    name: str
    value: float | None
    interval: Interval | None
    baseline: float | None


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class; None where undefined, or where the rows allow no interval.

    Attributes:
        name: The class.
        rows: Rows of the class.
        predicted: Rows predicted as the class.
    """

    name: str
    rows: int
    predicted: int
    recall: float | None
    recall_interval: Interval | None
    precision: float | None
    precision_interval: Interval | None
    f1: float | None
    f1_interval: Interval | None


@dataclass(frozen=True)
class Evaluation:
    """How well a set of predictions agrees with the labels.

    Attributes:
        rows: N.
        scores: Of all rows, accuracy first.
        classes: Of each class, in the order of the codes.
        confusion: Non-zero cells: true class, predicted class, rows.
        majority: The most frequent class of the training rows.
        positive: The class that AUROC and average precision rank first, for two classes.
        notes: Why intervals are missing.
    """

    rows: int
    scores: tuple[Score, ...]
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, int, int], ...]
    majority: str
    positive: str | None
    notes: tuple[str, ...]

    def score(self, name: str) -> Score:
        """The score of that name.

        Raises:
            KeyError: There is none.
        """
        for score in self.scores:
            if score.name == name:
                return score
        raise KeyError(name)


def evaluate(
    labels: NDArray[np.integer],
    probabilities: NDArray[np.float64],
    classes: tuple[str, ...],
    shares: NDArray[np.float64],
    group: NDArray[np.int32],
    *,
    seed: int,
) -> Evaluation:
    """Score predictions.

    Args:
        labels: (N,) true classes in 0 to K − 1.
        probabilities: (N, K) float64; a class that the head does not know has 0.
        classes: K names.
        shares: (K,) shares of the classes among the training rows.
        group: (N,) int32 codes, negative for none.
        seed: Of the bootstrap.
    """
    predicted = probabilities.argmax(axis=1)
    ones = np.ones(len(labels))
    scorer = _Scorer(labels, probabilities, predicted)
    baseline = np.broadcast_to(shares, probabilities.shape)
    simple = _Scorer(labels, baseline, baseline.argmax(axis=1))
    values, base = scorer.overall(ones), simple.overall(ones)
    units = row_units(group)
    scarce = [
        which for which in np.unique(labels) if len(np.unique(units[labels == which])) < MIN_UNITS
    ]
    intervals: list[Interval | None] = [None] * (len(values) + len(classes))
    if int(units.max()) + 1 >= MIN_UNITS:
        intervals = bootstrap(scorer.all, labels, group, seed=seed)
    if scarce:
        # How a class of few rows varies is not known, nor what averages or ranks it with others.
        for at in (*_by_class(scorer.names), *(len(values) + which for which in scarce)):
            intervals[at] = None
    intervals[0] = share_interval(labels == predicted, group)
    scores = tuple(
        Score(name, _defined(value), interval, _defined(reference))
        for name, value, interval, reference in zip(
            scorer.names, values, intervals, base, strict=False
        )
    )
    counts = Counts.of(labels, predicted, len(classes))
    return Evaluation(
        len(labels),
        scores,
        _class_scores(labels, predicted, classes, group, counts, intervals[len(values) :]),
        confusion(labels, predicted),
        classes[int(shares.argmax())],
        classes[1] if scorer.ranking else None,
        _notes(scarce, classes, bool((group >= 0).any())),
    )


class _Scorer:
    """All scores as a function of row weights, in one array for the bootstrap."""

    def __init__(
        self,
        labels: NDArray[np.integer],
        probabilities: NDArray[np.float64],
        predicted: NDArray[np.integer],
    ) -> None:
        self.labels, self.predicted = labels, predicted
        self.k = probabilities.shape[1]
        self.losses = row_log_loss(labels, probabilities)
        self.ranking = Ranking(labels == 1, probabilities[:, 1]) if self.k == 2 else None
        self.names = ["accuracy", "balanced accuracy", "macro-F1", "log-loss"]
        if self.ranking:
            self.names += ["AUROC", "average precision"]

    def all(self, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        """The overall scores, then F1 of each class, (…, S) of weights (…, N)."""
        counts = Counts.of(self.labels, self.predicted, self.k, weight)
        return np.concatenate([self._overall(counts, weight), counts.f1], axis=-1)

    def overall(self, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        """The scores of `names`."""
        return self._overall(Counts.of(self.labels, self.predicted, self.k, weight), weight)

    def _overall(self, counts: Counts, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        log_loss = weight @ self.losses / weight.sum(-1)
        values = [counts.accuracy, counts.balanced_accuracy, counts.macro_f1, log_loss]
        if self.ranking:
            values += self.ranking.both(weight)
        return np.stack(values, axis=-1)


def _class_scores(
    labels: NDArray[np.integer],
    predicted: NDArray[np.integer],
    classes: tuple[str, ...],
    group: NDArray[np.int32],
    counts: Counts,
    f1_intervals: list[Interval | None],
) -> tuple[ClassScore, ...]:
    hit = labels == predicted
    table = []
    for which, name in enumerate(classes):
        true, guess = labels == which, predicted == which
        rows, guesses = int(true.sum()), int(guess.sum())
        recall = share_interval(hit[true], group[true])
        # A precision is a share of rows as well: the bootstrap would say [1, 1] where
        # no prediction was wrong.
        precision = share_interval(hit[guess], group[guess])
        table.append(
            ClassScore(
                name,
                rows,
                guesses,
                _defined(counts.recall[which]),
                recall,
                _defined(counts.precision[which]),
                precision,
                _defined(counts.f1[which]),
                f1_intervals[which] if rows else None,
            )
        )
    return tuple(table)


def _by_class(names: list[str]) -> list[int]:
    """Places of the scores in which a class of few rows counts as much as any."""
    return [at for at, name in enumerate(names) if name not in ("accuracy", "log-loss")]


def _notes(scarce: list[int], classes: tuple[str, ...], grouped: bool) -> tuple[str, ...]:  # noqa: FBT001  # private, one caller
    if not scarce:
        return ()
    what = "groups" if grouped else "rows"
    names = ", ".join(classes[which] for which in scarce[:3])
    more = f" and {len(scarce) - 3} more" if len(scarce) > 3 else ""
    note = f"no intervals for means over classes: fewer than {MIN_UNITS} judged {what} of "
    return (note + names + more,)


def _defined(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
