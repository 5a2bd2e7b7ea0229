"""`Recipe`: what was asked for, whichever rows it is followed on.

n is the number of rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.leaderboard import Choice, choose
from embedcache.heads.model import Training
from embedcache.heads.selection import Progress

__all__ = ["Recipe"]


@dataclass(frozen=True, eq=False)
class Recipe:
    """How a head is made of training rows.

    Attributes:
        model: One of `names.MODEL_NAMES`, or `auto`.
        metric: What chooses: one of `selection.METRICS`.
        values: Exactly these values of the model's parameter; None for its own grid.
        progress: Told what is being computed.
    """

    model: str
    metric: str
    values: tuple[float, ...] | None
    progress: Progress | None

    def choose(
        self,
        training: Training,
        group: NDArray[np.int32],
        folds: NDArray[np.int64],
        prefix: str = "",
    ) -> Choice:
        """Choose model and setting on these rows.

        Args:
            training: The n rows.
            group: (n,) int32 codes, negative for none.
            folds: (n,) fold of each row.
            prefix: Of what progress is told.
        """

        def told(text: str) -> None:
            if self.progress:
                self.progress(prefix + text)

        return choose(
            self.model,
            training,
            group,
            folds,
            metric=self.metric,
            values=self.values,
            progress=told,
        )
