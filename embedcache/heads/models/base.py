"""`Base`: what most models share: any setting is possible, and leaving one row out is not cheap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.each_fold import EachFold
from embedcache.heads.ladder import Ladder, Setting
from embedcache.heads.model import Fold, Model, Training

__all__ = ["Base"]


class Base:
    """Defaults of a `Model`."""

    name: str
    calibrated: bool
    weighs: bool = False
    ladders: tuple[Ladder, ...]

    def check(self, setting: Setting, rows: int) -> None:
        """Nothing to refuse."""

    def out_of_fold(self: Model, training: Training, folds: NDArray[np.int64]) -> Fold:
        """A fit for each fold."""
        return EachFold(self.fold, training, folds)

    def leave_one_out(self, training: Training) -> Fold | None:  # noqa: ARG002  # for others to use
        """Not cheaper than that many fits."""
        return None
