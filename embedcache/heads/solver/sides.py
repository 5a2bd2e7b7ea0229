"""`Sides`: the training rows and the scaler of each fold over common rows.

F is the number of folds, N the number of rows, D the dimension, K the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from embedcache.heads.solver.targets import Targets

__all__ = ["Sides", "unseen_classes"]


@dataclass(frozen=True, eq=False)
class Sides:
    """What differs from fold to fold: the training rows and their scaler.

    A fold's own standardised feature is `(x − shift) · stretch` of the common one, which
    folds into the weights: all folds share one matrix and its products.

    Attributes:
        weights: (F, N) weight of each row, 0 outside the fold's training part.
        shift: (F, D).
        stretch: (F, D).
        unseen: (F, K) bool, classes of a softmax that no row of the training part has: their
            intercepts have no optimum, so their logits are never in the sum. `None` where every
            part has every class.
    """

    weights: torch.Tensor
    shift: torch.Tensor
    stretch: torch.Tensor
    unseen: torch.Tensor | None = None

    @cached_property
    def sums(self) -> torch.Tensor:
        """(F,) float64: Σ w of each fold."""
        return self.weights.sum(1, dtype=torch.float64)


def unseen_classes(targets: Targets, weights: torch.Tensor) -> torch.Tensor | None:
    """(F, K) bool, which classes no row has that a fold, (F, N), counts; `None` for none."""
    if targets.codes is None:
        return None
    counts = weights.new_zeros(len(weights), targets.k).index_add_(1, targets.codes[0], weights)
    unseen = counts == 0
    return unseen if bool(unseen.any()) else None
