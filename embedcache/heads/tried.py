"""`Judge`: out-of-fold scores of a setting become what settings are compared by.

n is the number of rows, K the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UsageError
from embedcache.evaluation.metrics import row_log_loss
from embedcache.heads.features import BLOCK
from embedcache.heads.ladder import Setting
from embedcache.heads.logreg import softmax
from embedcache.heads.model import Scored, Training
from embedcache.heads.temperature import fit_temperature

__all__ = ["METRICS", "Judge", "Tried"]

METRICS = ("log_loss", "accuracy", "balanced_accuracy")
"""What may choose: losses that are a mean over rows, so that two can be compared in pairs."""

_ITEMS = 2**20  # probabilities that are computed at a time


@dataclass(frozen=True, eq=False)
class Tried:
    """A setting that was fitted to all folds.

    Attributes:
        setting: The parameters, with the temperature where the model needs one.
        losses: (n,) float64, their mean is the metric, or 1 minus it.
        log_loss: The mean log-loss.
        accuracy: Share of the rows that were right.
        converged: Whether the solver reached its tolerance.
        iterations: Iterations of the solver.
    """

    setting: Setting
    losses: NDArray[np.float64]
    log_loss: float
    accuracy: float
    converged: bool
    iterations: int


class Judge:
    """Judges scores of the n rows that a fold holds out.

    Args:
        training: All rows.
        held_out: Which of them are held out.
        metric: One of `METRICS`.
        calibrated: Whether scores are logits as they are.

    Raises:
        UsageError: Unknown metric.
    """

    def __init__(
        self, training: Training, held_out: NDArray[np.bool_], metric: str, *, calibrated: bool
    ) -> None:
        if metric not in METRICS:
            raise UsageError("unknown metric", got=metric, expected=", ".join(METRICS))
        self._rows, self._labels = np.flatnonzero(held_out), training.labels[held_out]
        self._weights = None if training.weights is None else training.weights[held_out]
        self._metric, self._calibrated, self._classes = metric, calibrated, training.k

    def judged(self, setting: Setting, made: Scored) -> Tried:
        """The losses of the rows, by blocks: all in float64 would be many times the features."""
        rows, temperature = self._rows, 1.0
        if not self._calibrated:
            scores = made.of(rows).astype(np.float64)
            temperature = setting["temperature"] = fit_temperature(
                scores, self._labels, self._weights
            )
        log_losses, wrong = np.empty(len(rows)), np.empty(len(rows), np.bool_)
        size = max(1, min(BLOCK, _ITEMS // self._classes))
        for at in range(0, len(rows), size):
            block, labels = slice(at, at + size), self._labels[at : at + size]
            probabilities = softmax(made.of(rows[block]).astype(np.float64) / temperature)
            log_losses[block] = row_log_loss(labels, probabilities)
            wrong[block] = probabilities.argmax(axis=1) != labels
        return Tried(
            setting,
            _row_losses(self._metric, self._labels, self._weights, log_losses, wrong),
            float(log_losses.mean()),
            1 - float(wrong.mean()),
            made.converged,
            made.iterations,
        )


def _row_losses(
    metric: str,
    labels: NDArray[np.integer],
    weights: NDArray[np.float64] | None,
    log_losses: NDArray[np.float64],
    wrong: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Loss of each row, (n,): their mean is the metric, or 1 minus it.

    The log-loss weighs rows as the fit does: a fit that is right about rare classes would
    look wrong by an unweighted one. The other metrics mean what their names say.
    """
    if metric == "log_loss":
        return log_losses if weights is None else log_losses * (weights / weights.mean())
    if metric == "accuracy":
        return wrong.astype(np.float64)
    rows = np.bincount(labels)
    share = len(labels) / (np.count_nonzero(rows) * np.maximum(rows, 1))
    weighed: NDArray[np.float64] = wrong * share[labels]
    return weighed
