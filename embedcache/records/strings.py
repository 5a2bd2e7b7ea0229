"""`Strings`: an immutable table of byte strings, as two flat arrays.

It is the in-memory twin of the `/ids`, `/classes` and `/groups` tables of the
cache file, and keeps a million names in the space of their bytes.
N is the number of strings.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Strings"]


@dataclass(frozen=True, eq=False)
class Strings:
    """N byte strings.

    Attributes:
        data: (bytes,) uint8, all strings one after another.
        offsets: (N + 1,) int64; string i is `data[offsets[i]:offsets[i + 1]]`.
    """

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, items: Iterable[bytes | str]) -> Strings:
        """Build the table; text is encoded as file-system bytes."""
        # Grown in place: joining a list costs five times the strings' own memory.
        data, ends = bytearray(), array("q", [0])
        for item in items:
            data += os.fsencode(item)
            ends.append(len(data))
        return cls(np.frombuffer(bytes(data), np.uint8), np.array(ends, np.int64))

    @classmethod
    def concatenate(cls, tables: Sequence[Strings]) -> Strings:
        """All strings of several tables, in order."""
        lengths = [np.diff(table.offsets) for table in tables]
        offsets = np.zeros(1 + sum(map(len, lengths)), np.int64)
        if lengths:
            np.cumsum(np.concatenate(lengths), out=offsets[1:])
        data = [table.data[table.offsets[0] : table.offsets[-1]] for table in tables]
        return cls(np.concatenate(data) if data else np.empty(0, np.uint8), offsets)

    def is_valid(self) -> bool:
        """Whether the offsets start at 0, never fall, and end with the data."""
        offsets = self.offsets
        return bool(
            len(offsets) >= 1
            and offsets[0] == 0
            and offsets[-1] == len(self.data)
            and np.all(offsets[1:] >= offsets[:-1])
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> bytes:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        return self.data[self.offsets[index] : self.offsets[index + 1]].tobytes()

    def __iter__(self) -> Iterator[bytes]:
        return (self[index] for index in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Strings):
            return NotImplemented
        return np.array_equal(self.offsets, other.offsets) and np.array_equal(self.data, other.data)

    __hash__ = None  # type: ignore[assignment]  # holds arrays: equality by value, no hash

    def text(self, index: int) -> str:
        """String `index` as text, undecodable bytes as surrogate escapes."""
        return os.fsdecode(self[index])

    def texts(self) -> list[str]:
        """All strings as text."""
        return [os.fsdecode(item) for item in self]

    def take(self, rows: NDArray[np.int64]) -> Strings:
        """The strings at `rows`, (M,) int64, in that order."""
        return Strings.of(self[int(row)] for row in rows)
