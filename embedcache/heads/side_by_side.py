"""`SideBySide`: tables of the same images as one table, column after column, read when needed.

M is the number of common rows, D the number of columns of all tables together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SideBySide"]


@dataclass(frozen=True, eq=False)
class SideBySide:
    """A view of several tables, such as the caches of several backbones; nothing is copied.

    Attributes:
        tables: Each (its rows, its columns) float16 or float32, possibly mapped from disk.
        rows: For each table (M,) int64: which of its rows is the common row.
    """

    tables: tuple[NDArray[np.floating], ...]
    rows: tuple[NDArray[np.int64], ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of columns of each table."""
        return tuple(table.shape[1] for table in self.tables)

    @property
    def shape(self) -> tuple[int, int]:
        """(M, D)."""
        return len(self.rows[0]), sum(self.widths)

    @property
    def ndim(self) -> int:
        """2."""
        return 2

    @property
    def dtype(self) -> np.dtype[np.floating]:
        """One that holds every table's numbers."""
        return np.result_type(*self.tables)

    def __len__(self) -> int:
        return len(self.rows[0])

    def __getitem__(self, which: NDArray[np.int64]) -> NDArray[np.floating]:
        """A copy of some rows, (number of them, D)."""
        found = np.empty((len(which), self.shape[1]), self.dtype)
        end = 0
        for table, rows in zip(self.tables, self.rows, strict=True):
            start, end = end, end + table.shape[1]
            found[:, start:end] = table[rows[which]]
        return found
