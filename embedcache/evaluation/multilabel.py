"""`evaluate_multilabel`: scores of rows that have any number of labels, label by label.

N is the number of rows, K the number of labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.evaluate import Score
from embedcache.evaluation.intervals import MIN_UNITS, Interval, bootstrap, share_interval
from embedcache.evaluation.metrics import Counts, Ranking, cell_log_loss, mean_of_defined
from embedcache.evaluation.units import row_units

__all__ = ["THRESHOLD", "LabelScore", "MultilabelEvaluation", "evaluate_multilabel"]

THRESHOLD = 0.5
"""A label is answered where its probability is above this: a miss costs as much as a false
alarm."""

_OVERALL = ("mAP", "macro-F1", "micro-F1", "log-loss")
_BY_LABEL = ("average precision", "AUROC", "F1", "log-loss")


@dataclass(frozen=True)
class LabelScore:
    """Scores of one label against its absence.

    Attributes:
        name: The label.
        rows: Rows that have it.
        predicted: Rows that are answered with it.
        prevalence: Share of the rows that have it.
        prevalence_interval: Of that share; None for too few rows.
        scores: `average precision`, `AUROC`, `F1`, `log-loss`, `recall` and `precision`.
    """

    name: str
    rows: int
    predicted: int
    prevalence: float
    prevalence_interval: Interval | None
    scores: tuple[Score, ...]

    def score(self, name: str) -> Score:
        """The score of that name.

        Raises:
            KeyError: There is none.
        """
        return _named(self.scores, name)


@dataclass(frozen=True)
class MultilabelEvaluation:
    """How well probabilities of labels agree with the labels.

    The baseline beside every score gives each row the labels' shares of the training rows.

    Attributes:
        rows: N.
        scores: Of all rows: `mAP`, the mean average precision of the labels that judged rows
            have; `exact match`, the share of rows with every label right; `macro-F1`, the mean
            of the labels that occur; `micro-F1`, of all rows and labels pooled; `log-loss`,
            the mean over rows and labels, in nats.
        labels: Of each label, in the order of the columns.
        notes: Why scores or intervals are missing.
    """

    rows: int
    scores: tuple[Score, ...]
    labels: tuple[LabelScore, ...]
    notes: tuple[str, ...]

    def score(self, name: str) -> Score:
        """The score of that name.

        Raises:
            KeyError: There is none.
        """
        return _named(self.scores, name)


def evaluate_multilabel(
    labels: NDArray[np.uint8],
    probabilities: NDArray[np.float64],
    names: tuple[str, ...],
    shares: NDArray[np.float64],
    group: NDArray[np.int32],
    *,
    seed: int,
) -> MultilabelEvaluation:
    """Score probabilities of labels.

    Shares of rows have Wilson's interval, other scores a bootstrap over units, a group of
    rows or a row that has none. A label with fewer than `MIN_UNITS` units that have it, or
    that lack it, gets no bootstrap interval, and then neither do the means over labels.

    Args:
        labels: (N, K), 1 where the row has the label, else 0; N and K at least 1.
        probabilities: (N, K) float64; a row need not sum to 1.
        names: K names.
        shares: (K,) share of the training rows that have each label.
        group: (N,) int32 codes, negative for none.
        seed: Of the bootstrap.
    """
    n, k = labels.shape
    scorer = _Scorer(labels == 1, probabilities)
    simple = _Scorer(labels == 1, np.broadcast_to(shares, probabilities.shape))
    units = row_units(group)
    scarce = np.array([_is_scarce(column, units) for column in scorer.truth.T])
    values, base = scorer.all(np.ones(n)), simple.all(np.ones(n))
    intervals: list[Interval | None] = [None] * len(values)
    if units.max() + 1 >= MIN_UNITS:
        # One stratum: rows have many labels, and how often each occurs is part of its score.
        intervals = bootstrap(scorer.all, np.zeros(n, np.int64), group, seed=seed, columns=k)
    if scarce.any():
        intervals[0] = intervals[1] = None  # means over labels
    scores = [
        Score(name, _defined(value), interval, _defined(reference))
        for name, value, interval, reference in zip(_OVERALL, values, intervals, base, strict=False)
    ]
    exact, simply = scorer.right.all(axis=1), simple.right.all(axis=1)
    match = Score(
        "exact match", float(exact.mean()), share_interval(exact, group), float(simply.mean())
    )
    table = [
        LabelScore(
            name,
            int(scorer.truth[:, which].sum()),
            int(scorer.predicted[:, which].sum()),
            float(scorer.truth[:, which].mean()),
            share_interval(scorer.truth[:, which], group),
            (
                *(
                    Score(
                        kind,
                        _defined(values[at]),
                        None if scarce[which] else intervals[at],
                        _defined(base[at]),
                    )
                    for kind, at in zip(
                        _BY_LABEL, range(len(_OVERALL) + which, len(values), k), strict=True
                    )
                ),
                *_shares(scorer, simple, which, group),
            ),
        )
        for which, name in enumerate(names)
    ]
    notes = _notes(scorer.truth, scarce, names, grouped=bool((group >= 0).any()))
    return MultilabelEvaluation(n, (scores[0], match, *scores[1:]), tuple(table), notes)


class _Scorer:
    """All scores as a function of row weights, in one array for the bootstrap."""

    def __init__(self, truth: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> None:
        self.truth, self.predicted = truth, probabilities > THRESHOLD
        self.right = truth == self.predicted
        self._losses = cell_log_loss(truth, probabilities)
        # Summed over weighted rows by one product: has it, is given it, both, and the loss.
        self._columns = np.hstack([truth, self.predicted, truth & self.predicted, self._losses])
        self._rankings = [
            Ranking(has, score) for has, score in zip(truth.T, probabilities.T, strict=True)
        ]

    def all(self, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        """The scores of `_OVERALL`, then those of `_BY_LABEL`, K of each; weights are (…, N)."""
        support, predicted, correct, losses = np.split(weight @ self._columns, 4, axis=-1)
        counts = Counts(support, predicted, correct)
        losses = losses / weight.sum(-1)[..., None]
        ranked = np.stack([each.both(weight) for each in self._rankings], axis=-1)
        auroc, precision = ranked
        overall = np.stack(
            [
                mean_of_defined(precision),
                counts.macro_f1,
                counts.micro_f1,
                losses.mean(-1),
            ],
            axis=-1,
        )
        return np.concatenate([overall, precision, auroc, counts.f1, losses], axis=-1)


def _shares(
    scorer: _Scorer, simple: _Scorer, which: int, group: NDArray[np.int32]
) -> tuple[Score, Score]:
    """Recall and precision of one label, shares of the rows that have it or are given it."""
    truth, predicted = scorer.truth[:, which], scorer.predicted[:, which]
    simply = simple.predicted[:, which]
    return (
        Score(
            "recall",
            _share(predicted[truth]),
            share_interval(predicted[truth], group[truth]),
            _share(simply[truth]),
        ),
        Score(
            "precision",
            _share(truth[predicted]),
            share_interval(truth[predicted], group[predicted]),
            _share(truth[simply]),
        ),
    )


def _is_scarce(has: NDArray[np.bool_], units: NDArray[np.int64]) -> bool:
    return min(len(np.unique(units[has])), len(np.unique(units[~has]))) < MIN_UNITS


def _notes(
    truth: NDArray[np.bool_], scarce: NDArray[np.bool_], names: tuple[str, ...], *, grouped: bool
) -> tuple[str, ...]:
    what = "groups" if grouped else "rows"
    few = f"fewer than {MIN_UNITS} judged {what} with, or without, "
    notes = []
    for which, said in (
        (scarce, "no intervals but for shares of rows, nor of means over labels: " + few),
        (truth.sum(axis=0) == 0, "no part of mAP, as no judged row has it: "),
    ):
        named = [name for name, holds in zip(names, which, strict=True) if holds]
        if named:
            more = f" and {len(named) - 3} more" if len(named) > 3 else ""
            notes.append(said + ", ".join(named[:3]) + more)
    return tuple(notes)


def _named(scores: tuple[Score, ...], name: str) -> Score:
    for score in scores:
        if score.name == name:
            return score
    raise KeyError(name)


def _share(success: NDArray[np.bool_]) -> float | None:
    return float(success.mean()) if len(success) else None


def _defined(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
