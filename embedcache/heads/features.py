"""`Features`: some rows of a table that may lie on disk, read only when they are needed.

N is the number of chosen rows, D the embedding dimension.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK", "Features"]

BLOCK = 4096
"""Rows read and converted at a time."""


@dataclass(frozen=True, eq=False)
class Features:
    """Chosen rows of a table.

    Attributes:
        table: (M, D) float16, float32 or float64, possibly mapped from disk.
        rows: (N,) int64 into `table`.
    """

    table: NDArray[np.floating]
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, table: NDArray[np.floating]) -> Features:
        """All rows of a table."""
        return cls(table, np.arange(len(table)))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def dim(self) -> int:
        """D."""
        return int(self.table.shape[1])

    def take(self, which: NDArray[np.integer]) -> Features:
        """Some of these rows, by position."""
        return Features(self.table, self.rows[which])

    def array(self) -> NDArray[np.floating]:
        """All rows in memory, (N, D), float32 where the table is float16."""
        rows: NDArray[np.floating] = self.table[self.rows]
        return rows.astype(np.float32) if rows.dtype == np.float16 else rows

    def blocks(self, size: int = BLOCK) -> Iterator[tuple[slice, NDArray[np.floating]]]:
        """The rows in order, at most `size` at a time, each block with its place."""
        for at in range(0, len(self), size):
            place = slice(at, min(at + size, len(self)))
            yield place, self.take(np.arange(place.start, place.stop)).array()
