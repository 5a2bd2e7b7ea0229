"""`out_of_fold`: what a setting says of each training row by a fit to the other folds.

n is the number of rows, K the number of classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.ladder import Setting
from embedcache.heads.model import Fold, Model, Training

__all__ = ["out_of_fold"]

_TOLERANCE = 1e-4
"""Of the gradient of the mean loss, times K: a little stricter than what ranks settings."""


def out_of_fold(
    model: Model,
    training: Training,
    folds: NDArray[np.int64],
    setting: Setting,
    ready: Fold | None = None,
) -> NDArray[np.float64]:
    """Scores (n, K), −inf for a class that the other folds don't have.

    Those of a row that no fold holds out mean nothing.

    They are computed anew for the one setting that was chosen: to keep those of every
    setting that was tried would take as much memory as the features, times the settings,
    where classes are many.

    Args:
        model: What to fit.
        training: The n rows.
        folds: (n,) fold of each row; `NEVER` for one that is fitted only.
        setting: The parameters.
        ready: The folds made ready, by whom they were made already.
    """
    made = model.out_of_fold(training, folds) if ready is None else ready
    found = made.score(setting, _TOLERANCE / training.k)
    return found.scores.astype(np.float64)
