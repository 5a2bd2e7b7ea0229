"""The choice of C by out-of-fold loss, on a grid that finds its own range.

n is the number of rows, D the embedding dimension, K the number of classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UsageError
from embedcache.evaluation.metrics import row_log_loss
from embedcache.evaluation.units import paired_difference
from embedcache.heads.report import CScore, SelectionRecord
from embedcache.heads.training import TrainingPart

__all__ = ["METRICS", "Progress", "select_c"]

METRICS = ("log_loss", "accuracy", "balanced_accuracy")
"""What may choose C: losses that are a mean over rows, so that two can be compared in pairs."""

Progress = Callable[[str], None]
"""Told in words what is being computed."""

# Grid indices are half decades: C = 10^(index / 2).
_FIRST, _LAST = -10, 2
_LOWEST, _HIGHEST = -16, 12

# To rank C no fit needs to converge. The gradient of the mean loss shrinks with the loss and is
# spread over K classes, so the tolerance is relative to both: an absolute one would let fits of
# easy data, or of many classes, end where they started. On ELPV this is about 1e-4 near the best
# C: a quarter of the iterations of 1e-6, at a held-out log-loss within 3e-4 of the limit.
_TOLERANCE, _MAX_ITERATIONS = 6e-4, 200

_HOPELESS = 2.0
"""Larger C are left out once one is worse than the best by this many paired standard errors."""

_SOLVED = 1e-3
"""Larger C are left out once the loss is below this: separable data would ask for C without end."""


@dataclass(frozen=True, eq=False)
class _Tried:
    losses: NDArray[np.float64]
    accuracy: float
    converged: bool
    iterations: int


def select_c(
    features: NDArray[np.floating],
    labels: NDArray[np.integer],
    group: NDArray[np.int32],
    folds: NDArray[np.int64],
    *,
    metric: str = "log_loss",
    cs: tuple[float, ...] | None = None,
    progress: Progress | None = None,
) -> SelectionRecord:
    """Choose C.

    Decades from 1e-5 to 10 are tried from below, each fit starting at the last; the grid goes on
    to 1e-8 or 1e6 while the optimum is on its edge, and half decades are added
    around the optimum. Of all C within one paired standard error of the best
    the smallest is chosen.

    Args:
        features: (n, D).
        labels: (n,) classes in 0 to K − 1.
        group: (n,) int32 codes, negative for none: rows of a group err together.
        folds: (n,) fold of each row.
        metric: One of `METRICS`.
        cs: Exactly these C instead of the grid.
        progress: Told of every C.

    Raises:
        UsageError: Unknown metric, or a C that is not above 0.
    """
    if metric not in METRICS:
        raise UsageError("unknown metric", got=metric, expected=", ".join(METRICS))
    search = _Search(features, labels, group, folds, metric, progress)
    if cs is not None:
        if not cs or not all(0 < c < float("inf") for c in cs):
            raise UsageError("C must be above 0 and finite", got=cs, expected="such as 0.01, 0.1")
        for c in sorted(set(cs)):
            search.loss(c)
        search.on_edge = len(set(cs)) > 1 and search.best in {min(cs), max(cs)}
    else:
        search.explore()
    return search.record()


class _Search:
    def __init__(
        self,
        features: NDArray[np.floating],
        labels: NDArray[np.integer],
        group: NDArray[np.int32],
        folds: NDArray[np.int64],
        metric: str,
        progress: Progress | None,
    ) -> None:
        self.labels, self.group, self.metric, self.progress = labels, group, metric, progress
        self.k = int(labels.max()) + 1
        self.tried: dict[float, _Tried] = {}
        self.log_loss = float(np.log(self.k))
        self.stopped_early = self.on_edge = False
        # Every fold stays in memory: four copies of the features for five folds.
        self.held_out = [np.flatnonzero(folds == fold) for fold in np.unique(folds)]
        self.parts = [
            TrainingPart(np.delete(features, rows, axis=0), np.delete(labels, rows), np.float32)
            for rows in self.held_out
        ]
        self.standardised = [
            part.scaler.apply(features[rows], np.float32)
            for part, rows in zip(self.parts, self.held_out, strict=True)
        ]

    def explore(self) -> None:
        """Decades upwards until hopeless, then downwards, then half decades around the best."""
        index = _FIRST
        while index <= _LAST or (index <= _HIGHEST and self.best == _c(index - 2)):
            self.loss(_c(index))
            if self._solved(_c(index)) or self._worse(_c(index)):
                self.stopped_early = True
                break
            index += 2
        index = _FIRST - 2
        while index >= _LOWEST and self.best == _c(index + 2):
            self.loss(_c(index))
            index -= 2
        decade = round(2 * np.log10(self.best))
        self.on_edge = self.best in {_c(_LOWEST), _c(_HIGHEST)}
        # From above, where the solver stands.
        for neighbour in (decade + 1, decade - 1):
            if _LOWEST <= neighbour <= _HIGHEST:
                self.loss(_c(neighbour))

    @property
    def best(self) -> float:
        """The C of the lowest mean loss so far, the smaller of equals."""
        return min(self.tried, key=lambda c: (self.tried[c].losses.mean(), c))

    def loss(self, c: float) -> None:
        """Fit all folds at C and keep the loss of every out-of-fold row."""
        if self.progress:
            self.progress(f"choosing C: {c:.2g}")
        probabilities = np.zeros((len(self.labels), self.k))
        converged, iterations = True, 0
        tolerance = _TOLERANCE * self.log_loss / self.k
        for part, rows, standardised in zip(
            self.parts, self.held_out, self.standardised, strict=True
        ):
            fit = part.fit(c, tolerance=tolerance, max_iterations=_MAX_ITERATIONS)
            probabilities[rows] = part.predict(fit, standardised, self.k)
            converged &= fit.converged
            iterations += fit.iterations
        wrong = probabilities.argmax(axis=1) != self.labels
        losses = _row_losses(self.metric, self.labels, probabilities, wrong)
        self.log_loss = min(self.log_loss, float(row_log_loss(self.labels, probabilities).mean()))
        self.tried[c] = _Tried(losses, 1 - float(wrong.mean()), converged, iterations)

    def _solved(self, c: float) -> bool:
        return float(self.tried[c].losses.mean()) < _SOLVED

    def _worse(self, c: float) -> bool:
        mean, error = self._difference(c)
        return mean > _HOPELESS * error > 0

    def _difference(self, c: float) -> tuple[float, float]:
        """Mean and standard error of the loss at C minus that of the best C."""
        return paired_difference(self.tried[c].losses, self.tried[self.best].losses, self.group)

    def record(self) -> SelectionRecord:
        """The choice and all that it was made from."""
        scores = []
        for c, tried in sorted(self.tried.items()):
            mean, error = self._difference(c)
            loss = float(tried.losses.mean())
            scores.append(
                CScore(c, loss, mean, error, tried.accuracy, tried.converged, tried.iterations)
            )
        choice = min(s.c for s in scores if s.c == self.best or s.difference <= s.difference_error)
        return SelectionRecord(
            choice,
            self.best,
            self.metric,
            len(self.parts),
            tuple(scores),
            self.on_edge,
            self.stopped_early,
        )


def _c(index: int) -> float:
    return float(f"{10 ** (index / 2):.6g}")


def _row_losses(
    metric: str,
    labels: NDArray[np.integer],
    probabilities: NDArray[np.float64],
    wrong: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Loss of each row, (n,): their mean is the metric, or 1 minus it."""
    if metric == "log_loss":
        return row_log_loss(labels, probabilities)
    if metric == "accuracy":
        return wrong.astype(np.float64)
    rows = np.bincount(labels)
    share = len(labels) / (np.count_nonzero(rows) * np.maximum(rows, 1))
    losses: NDArray[np.float64] = wrong * share[labels]
    return losses
