"""`Rows`: features centred and scaled once, handed out in blocks.

N is the number of rows, D the embedding dimension.
"""

from __future__ import annotations

import os

import numpy as np
import torch

from embedcache.heads.features import Features
from embedcache.heads.solver.parallel import Workers
from embedcache.heads.standardise import Scaler

__all__ = ["Rows", "fits_in_memory"]

_BLOCK = 1024
"""Rows of a block: its logits and features stay in the cache of a core."""

_DEVICE_BLOCK = 65_536  # on an accelerator, where launching costs more than memory


class Rows:
    """Features (N, D) as `(x − mean) / scale`, in memory or converted whenever they are read.

    Centring once keeps float32 products exact to a few units in the last place even where a
    feature's mean is far from 0; what a fold's own scaler differs by is left to the weights.

    Args:
        features: N rows, possibly on disk.
        scaler: Mean and scale.
        workers: Who computes the products, on which device.
        dtype: float32, or float64 where the data are small.
        in_memory: Whether to keep a converted copy, N · D items of `dtype`. If not, every
            block is read and converted anew in every pass.
        block: Rows of a block; by default a number that suits the device.

    Attributes:
        mean: (D,) float64.
        scale: (D,) float64.
    """

    def __init__(
        self,
        features: Features,
        scaler: Scaler,
        workers: Workers,
        dtype: torch.dtype = torch.float32,
        *,
        in_memory: bool = True,
        block: int | None = None,
    ) -> None:
        self.n, self.d = len(features), features.dim
        self.workers, self.device, self.dtype = workers, workers.device, dtype
        self._features = features
        step = block or (_BLOCK if self.device.type == "cpu" else _DEVICE_BLOCK)
        self.blocks = [slice(at, min(at + step, self.n)) for at in range(0, self.n, step)]
        self.mean, self.scale = scaler.mean, scaler.scale
        self._held: torch.Tensor | None = None
        if in_memory:
            held = torch.empty(self.n, self.d, dtype=dtype, device=self.device)
            for rows in self.blocks:
                held[rows] = self._convert(rows)
            self._held = held

    def block(self, rows: slice, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Standardised rows (n, D) on the device, of `dtype` or the common one."""
        block = self._convert(rows) if self._held is None else self._held[rows]
        return block.to(dtype or self.dtype)

    def mean_of(self, weights: torch.Tensor) -> torch.Tensor:
        """(D,): the mean of the rows by weights (N,)."""
        total = torch.zeros(self.d, dtype=torch.float64, device=self.device)
        for rows in self.blocks:
            total += weights[rows] @ self.block(rows)
        return (total / weights.sum()).to(self.dtype)

    def covariance(self, weights: torch.Tensor, rows: int) -> torch.Tensor:
        """(D, D): the mean of x xᵀ about the common mean, by weights (N,).

        Args:
            weights: (N,).
            rows: How many rows at least to take, evenly over all.
        """
        every = max(1, self.n // max(1, rows))
        blocks = self.blocks[::every]

        def share(blocks: list[slice]) -> torch.Tensor:
            total = torch.zeros(self.d, self.d, dtype=self.dtype, device=self.device)
            for rows in blocks:
                x = self.block(rows)
                total.addmm_((x * weights[rows, None]).T, x)
            return total

        total = self.workers.share(share, blocks)
        return torch.stack(total).sum(0) / torch.cat([weights[b] for b in blocks]).sum().clamp_min(
            1e-30
        )

    def _convert(self, rows: slice) -> torch.Tensor:
        # Rounding the mean to float32 shifts all rows alike: the intercept takes that up.
        block = self._features.take(np.arange(rows.start, rows.stop)).array()
        block -= self.mean.astype(block.dtype)
        block *= (1 / self.scale).astype(block.dtype)
        return torch.from_numpy(block).to(self.device, self.dtype)


def fits_in_memory(items: int) -> bool:
    """Whether so many float32 numbers take less than half of the memory that is free."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 4 * items < free / 2
