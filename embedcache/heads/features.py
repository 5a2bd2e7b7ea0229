"""`Features`: some rows of a table that may lie on disk, read only when they are needed.

N is the number of chosen rows, D the embedding dimension.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.side_by_side import SideBySide

__all__ = ["BLOCK", "Features", "Table"]

BLOCK = 4096
"""Rows read and converted at a time."""


class Table(Protocol):
    """What is asked of a feature table, (M, D): an array, or a view such as `SideBySide`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(M, D)."""
        ...

    @property
    def ndim(self) -> int:
        """2."""
        ...

    @property
    def dtype(self) -> Any:
        """float16, float32 or float64."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, which: NDArray[np.int64], /) -> Any:
        """A copy of some rows."""
        ...


@dataclass(frozen=True, eq=False)
class Features:
    """Chosen rows of a table.

    Attributes:
        table: (M, D) float16, float32 or float64, possibly mapped from disk.
        rows: (N,) int64 into `table`.
        device: Where a solver that can compute elsewhere should: `cpu`, `cuda`, `cuda:1`.
    """

    table: Table
    rows: NDArray[np.int64]
    device: str = "cpu"

    @classmethod
    def of(cls, table: Table) -> Features:
        """All rows of a table."""
        return cls(table, np.arange(len(table)))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def dim(self) -> int:
        """D."""
        return int(self.table.shape[1])

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of columns of each source, side by side; D alone where there is one."""
        return self.table.widths if isinstance(self.table, SideBySide) else (self.dim,)

    def take(self, which: NDArray[np.integer]) -> Features:
        """Some of these rows, by position."""
        return Features(self.table, self.rows[which], self.device)

    def array(self) -> NDArray[np.floating]:
        """All rows in memory, (N, D), float32 where the table is float16."""
        dtype = np.float32 if self.table.dtype == np.float16 else self.table.dtype
        rows: NDArray[np.floating] = np.empty((len(self), self.dim), dtype)
        # By blocks: a second copy of all rows, in the table's dtype, is never there.
        for at in range(0, len(self), BLOCK):
            rows[at : at + BLOCK] = self.table[self.rows[at : at + BLOCK]]
        return rows

    def blocks(self, size: int = BLOCK) -> Iterator[tuple[slice, NDArray[np.floating]]]:
        """The rows in order, at most `size` at a time, each block with its place."""
        for at in range(0, len(self), size):
            place = slice(at, min(at + size, len(self)))
            yield place, self.take(np.arange(place.start, place.stop)).array()
