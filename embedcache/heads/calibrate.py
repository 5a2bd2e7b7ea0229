"""`Calibration`: what the temperature of a head does to rows that it has not seen.

J is the number of judged rows, K the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.calibration import reliability
from embedcache.evaluation.intervals import LEVEL, MIN_UNITS, Interval
from embedcache.evaluation.metrics import row_log_loss
from embedcache.evaluation.units import paired_difference, row_units
from embedcache.heads.logreg import softmax

__all__ = ["Calibration", "calibration_of"]


@dataclass(frozen=True)
class Calibration:
    """How far probabilities can be believed, without and with the temperature.

    Judged rows had no part in it: temperatures are of training rows out of fold. The
    expected calibration error (ECE) has no interval: its bins make it too large in
    every resample of few rows, so a bootstrap's would miss it.

    Attributes:
        temperature: What the shipped head's logits were divided by; None where nothing was
            fitted.
        fold_temperatures: Likewise, of the heads of the outer folds.
        ece_before: Expected calibration error of the heads without a temperature.
        ece_after: Of the heads as they are.
        log_loss_before: Likewise, in nats.
        log_loss_after: Likewise.
        log_loss_change: 95 % interval of the latter minus the former, in pairs; None for
            too few rows or groups.
    """

    temperature: float | None
    fold_temperatures: tuple[float, ...]
    ece_before: float
    ece_after: float
    log_loss_before: float
    log_loss_after: float
    log_loss_change: Interval | None

    @property
    def is_idle(self) -> bool:
        """Whether no head has a temperature, so that nothing changes by it."""
        return {self.temperature, *self.fold_temperatures} <= {None, 1.0}


def calibration_of(
    labels: NDArray[np.integer],
    probabilities: NDArray[np.float64],
    temperature: NDArray[np.float64],
    group: NDArray[np.int32],
    *,
    shipped: float | None,
    folds: tuple[float, ...],
) -> Calibration:
    """Compare answers with what they would have been without their temperature.

    Args:
        labels: (J,) true classes in 0 to K − 1, J at least 1.
        probabilities: (J, K), as the heads gave them.
        temperature: (J,) of the row's head: p is softmax(scores / temperature).
        group: (J,) int32 codes, negative for none.
        shipped: Temperature of the shipped head, if it has one.
        folds: Of the heads of the outer folds.
    """
    with np.errstate(divide="ignore"):
        before = softmax(np.log(probabilities) * temperature[:, None])
    losses = row_log_loss(labels, before), row_log_loss(labels, probabilities)
    mean, error = paired_difference(losses[1], losses[0], group)
    half = NormalDist().inv_cdf((1 + LEVEL) / 2) * error
    enough = int(row_units(group).max()) + 1 >= MIN_UNITS
    return Calibration(
        shipped,
        folds,
        reliability(labels, before, group).ece,
        reliability(labels, probabilities, group).ece,
        float(losses[0].mean()),
        float(losses[1].mean()),
        Interval(mean - half, mean + half) if enough else None,
    )
