"""`Rows`: features centred and scaled once, handed out in blocks.

N is the number of rows, D the embedding dimension.
"""

from __future__ import annotations

import os

import numpy as np
import torch
from numpy.typing import NDArray

from embedcache.backbones.processor import processor_features
from embedcache.heads.features import Features
from embedcache.heads.solver.parallel import Workers
from embedcache.heads.standardise import Scaler

__all__ = ["Rows", "has_fast_half"]

_BLOCK, _HALF_BLOCK = 1024, 2048
"""Rows of a block, the latter where products are of bfloat16, which took a quarter longer with
512; those of float32 took 4 to 9 % longer with 2,048 than with 1,024."""

_DEVICE_BLOCK = 65_536  # on an accelerator, where launching costs more than memory

_FAR = 8.0
"""Scales that a mean may lie from 0 for features to be used as they are: float32 products then
lose three bits at most to the means."""

_MANY = 500
"""Logits of a row from which on no copy is kept on a CPU: scaling a block again at each pass then
takes 2.5 % of the time of its products at most, and of many classes memory is short."""

_SMALL = 2**20
"""Items up to which features are small: a float32 copy is kept beside that in bfloat16."""


class Rows:
    """Features (N, D) as `(x − mean) / scale`, handed out in blocks.

    Centring keeps float32 products exact to a few units in the last place even where a
    feature's mean is far from 0; what a fold's own scaler differs by is left to the weights.
    Nearly all passes are of bfloat16 where the processor is fast at it. Then only that copy
    is kept, half the size of float32 features; the few float32 blocks are made when asked for.
    Where it is not, float32 features in memory whose means are near 0 are handed out as they
    are, without a copy: all scaling is left to the weights. Nor is there a copy where rows have
    many logits.

    Args:
        features: N rows, possibly on disk.
        scaler: Mean and scale.
        workers: Who computes the products, on which device.
        dtype: float32, or float64 where the data are small.
        logits: Of a row, in each problem.

    Attributes:
        mean: (D,) float64, of what is handed out; 0 for features as they are.
        scale: (D,) float64; 1 for features as they are.
        half: Whether bfloat16 products are worth while.
        small: Whether so little that float32 costs nothing that anybody would notice.
    """

    def __init__(
        self,
        features: Features,
        scaler: Scaler,
        workers: Workers,
        dtype: torch.dtype = torch.float32,
        logits: int = 1,
    ) -> None:
        self.n, self.d = len(features), features.dim
        self.workers, self.device, self.dtype = workers, workers.device, dtype
        self.small = self.n * self.d <= _SMALL
        self.half = dtype == torch.float32 and has_fast_half(self.device)
        self._features = features
        on_cpu = _HALF_BLOCK if self.half else _BLOCK
        step = on_cpu if self.device.type == "cpu" else _DEVICE_BLOCK
        self.blocks = [slice(at, min(at + step, self.n)) for at in range(0, self.n, step)]
        self._held: dict[torch.dtype, torch.Tensor] = {}
        plain = dtype == torch.float32 and not self.half and self.device.type == "cpu"
        if plain and (raw := _as_they_are(features, scaler)) is not None:
            self.mean, self.scale = np.zeros(self.d), np.ones(self.d)
            self._held[dtype] = torch.from_numpy(raw)
            return
        self.mean, self.scale = scaler.mean, scaler.scale
        shift, stretch = (torch.from_numpy(each) for each in (scaler.mean, 1 / scaler.scale))
        self._shift, self._stretch = shift.to(self.device), stretch.to(self.device)
        is_cheap = plain and logits >= _MANY and not self.small
        if is_cheap or not _fits_in_memory(self.n * self.d):
            return  # every pass reads and converts every block
        kept = [torch.bfloat16] if self.half else []
        if not kept or self.small:
            kept.append(dtype)
        for each in kept:
            self._held[each] = torch.empty(self.n, self.d, dtype=each, device=self.device)
        for rows in self.blocks:
            block = self._convert(rows, dtype)
            for held in self._held.values():
                held[rows] = block

    def block(
        self, rows: slice | NDArray[np.integer], dtype: torch.dtype | None = None
    ) -> torch.Tensor:
        """Scaled rows (n, D) on the device, of `dtype` or the common one; not to be changed."""
        dtype = dtype or self.dtype
        if dtype in self._held:
            return self._held[dtype][rows]
        if self.dtype in self._held:
            return self._held[self.dtype][rows].to(dtype)
        return self._convert(rows, self.dtype).to(dtype)

    def sample(self, count: int) -> list[slice]:
        """Blocks of at least so many rows, if there are, evenly over all.

        Not of neighbours: rows often come sorted by class. With blocks of neighbours the gap to the
        optimum on 20,000 rows of ten classes was 1.1e-3 after 56 passes, and is 6.6e-4.
        """
        every = max(1, self.n // count)
        step = every * (self.blocks[0].stop - self.blocks[0].start)
        return [slice(at, min(at + step, self.n), every) for at in range(0, self.n, step)]

    def _convert(self, rows: slice | NDArray[np.integer], dtype: torch.dtype) -> torch.Tensor:
        # torch widens float16 five times as fast as numpy. Rounding the mean shifts all rows
        # alike: the intercept takes that up.
        raw = torch.from_numpy(self._features.table[self._features.rows[rows]])
        block = raw.to(self.device, dtype)
        return block.sub_(self._shift.to(dtype)).mul_(self._stretch.to(dtype))


def _as_they_are(features: Features, scaler: Scaler) -> NDArray[np.float32] | None:
    """(N, D) of features that need no copy; `None` where they do."""
    raw = features.table
    if not isinstance(raw, np.ndarray) or raw.dtype != np.float32 or len(raw) != len(features):
        return None
    near = np.abs(scaler.mean) <= _FAR * scaler.scale
    whole = raw.flags.c_contiguous and raw.flags.writeable  # torch warns of what is read-only
    in_order = np.array_equal(features.rows, np.arange(len(raw)))
    return raw if whole and in_order and near.all() else None


def has_fast_half(device: torch.device) -> bool:
    """Whether bfloat16 products take a quarter of float32's time, as with AVX-512 BF16 or AMX."""
    return device.type == "cpu" and bool(processor_features().get("avx512_bf16"))


def _fits_in_memory(items: int) -> bool:
    """Whether so many float32 numbers take less than half of the memory that is free."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 4 * items < free / 2
