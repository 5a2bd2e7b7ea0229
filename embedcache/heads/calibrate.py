"""`calibrate`: the temperature of the judged rows, and what it does to rows that it has not seen.

N is the number of judged rows, K the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.calibration import reliability
from embedcache.evaluation.folds import stratified_folds
from embedcache.evaluation.metrics import row_log_loss
from embedcache.evaluation.splits import FOLDS
from embedcache.heads.logreg import softmax
from embedcache.heads.temperature import fit_temperature

__all__ = ["Calibration", "calibrate"]


@dataclass(frozen=True)
class Calibration:
    """How far probabilities can be believed, before and after a temperature.

    Attributes:
        temperature: T of all judged rows: softmax(log p / T) is the better probability.
        ece_before: Expected calibration error of the head's own probabilities.
        ece_after: With temperatures that each fold has from the other folds.
        log_loss_before: Likewise, in nats.
        log_loss_after: Likewise.
    """

    temperature: float
    ece_before: float
    ece_after: float
    log_loss_before: float
    log_loss_after: float


def calibrate(
    labels: NDArray[np.integer],
    probabilities: NDArray[np.float64],
    group: NDArray[np.int32],
    *,
    seed: int,
) -> Calibration:
    """Fit a temperature to the judged rows and judge it by cross-fitting.

    The head has not seen these rows, and each fold's temperature has not seen the
    fold: what is said of "after" is as honest as what is said of "before".

    Args:
        labels: (N,) true classes in 0 to K − 1, N at least 1.
        probabilities: (N, K); exactly 0 for a class that the row's head does not know.
        group: (N,) int32 codes, negative for none; a group stays in one fold.
        seed: Of the folds.
    """
    with np.errstate(divide="ignore"):
        scores = np.log(probabilities)
    codes = np.unique(labels, return_inverse=True)[1]
    folds = stratified_folds(codes, group, FOLDS, seed)
    after = probabilities.copy()
    for fold in np.unique(folds):
        rest, held_out = folds != fold, folds == fold
        if rest.any():
            temperature = fit_temperature(scores[rest], labels[rest])
            after[held_out] = softmax(scores[held_out] / temperature)
    return Calibration(
        fit_temperature(scores, labels),
        reliability(labels, probabilities, group).ece,
        reliability(labels, after, group).ece,
        float(row_log_loss(labels, probabilities).mean()),
        float(row_log_loss(labels, after).mean()),
    )
