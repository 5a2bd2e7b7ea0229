"""`EachFold`: out-of-fold scores by one fit for each fold.

N is the number of rows, K the number of classes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.folds import NEVER
from embedcache.heads.features import Features
from embedcache.heads.ladder import Setting
from embedcache.heads.model import Fold, Scored, Training

__all__ = ["EachFold"]


class EachFold:
    """Folds made ready one by one; a class may be missing from the training rows of one.

    Args:
        make: Makes a fold of training rows and rows to score.
        training: N rows.
        folds: (N,) fold of each row; `NEVER` for one that is fitted only.
    """

    def __init__(
        self,
        make: Callable[[Training, Features], Fold],
        training: Training,
        folds: NDArray[np.int64],
    ) -> None:
        self._shape = len(training.labels), training.k
        self._folds = []
        for number in np.unique(folds[folds != NEVER]):
            held_out = np.flatnonzero(folds == number)
            part, seen = training.part(np.flatnonzero(folds != number))
            fold = make(part, training.features.take(held_out))
            self._folds.append((fold, np.ix_(held_out, seen)))

    def score(self, setting: Setting, tolerance: float) -> Scored:
        """Scores (N, K), −∞ for a class that a row's fit has not seen."""
        scores = np.full(self._shape, -np.inf)
        converged, iterations = True, 0
        for fold, place in self._folds:
            scored = fold.score(setting, tolerance)
            scores[place] = scored.scores
            converged &= scored.converged
            iterations += scored.iterations
        return Scored(scores, converged, iterations)
