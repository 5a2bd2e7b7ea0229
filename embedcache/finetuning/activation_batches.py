"""Batches of cached activations, read where they lie.

N is the number of rows, V of views, B of rows in a batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from embedcache.finetuning.batches import Batch
from embedcache.finetuning.sampling import derived_seed, rows_of_step
from embedcache.store.cache import FeatureCache

__all__ = ["ActivationBatches", "Activations"]

_VIEW = 3
"""What sets the seeds of the choice of views apart from others of the same run."""


@dataclass(frozen=True, eq=False)
class Activations:
    """Labelled rows of several caches, one for each view.

    Attributes:
        views: V caches of the same images.
        rows: (V, N) int64, where each of the N rows lies in them.
        shape: Of one activation.
        labels: (N,) int64, 0 to K − 1.
        weights: (N,) float32, each row's share in the loss.
    """

    views: tuple[FeatureCache, ...]
    rows: NDArray[np.int64]
    shape: tuple[int, ...]
    labels: NDArray[np.int64]
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, rows: NDArray[np.int64], views: NDArray[np.int64]) -> Tensor:
        """Activations of some rows, (B, …) float32, each in one view.

        Args:
            rows: (B,) 0 to N − 1.
            views: (B,) 0 to V − 1.

        Raises:
            CacheInvalidError: A block of a cache is damaged.
        """
        values = np.empty((len(rows), int(np.prod(self.shape))), np.float32)
        for view in np.unique(views):
            mine = views == view
            values[mine] = self.views[view].rows(self.rows[view, rows[mine]])
        return torch.from_numpy(values).reshape(len(rows), *self.shape)


@dataclass(frozen=True, eq=False)
class ActivationBatches:
    """Shuffled, each row in a view drawn for the step. Satisfies `Batches`.

    Attributes:
        activations: The training rows.
        batch_size: B.
        seed: Of order and views.
    """

    activations: Activations
    batch_size: int
    seed: int

    @property
    def rows(self) -> int:
        """N."""
        return len(self.activations)

    def batch(self, step: int) -> Batch:
        """The rows of a step."""
        table = self.activations
        rows = rows_of_step(self.seed, step, self.batch_size, self.rows)
        draw = np.random.default_rng(derived_seed(self.seed, _VIEW, step))
        views = draw.integers(len(table.views), size=len(rows))
        return Batch(
            table.read(rows, views),
            torch.from_numpy(table.labels[rows]),
            torch.from_numpy(table.weights[rows]),
        )
