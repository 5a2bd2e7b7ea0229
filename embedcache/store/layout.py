"""The cache file's layout: which tables there are, their types, and where they lie.

One HDF5 file with flat, contiguous, little-endian, 4096-aligned data sets and
nothing else: no filters, no variable-length types, no links, no attributes but
the format version and one sum. HDF5 only lays the file out, in memory; the
bytes are written by the operating system, so that a full disk is an error with
a message and not a crash inside the library.

N is the number of rows, D the embedding dimension, K the number of classes, R the
number of rejects.
"""

from __future__ import annotations

import io
from collections.abc import Container, Mapping
from dataclasses import dataclass

import numpy as np

__all__ = [
    "ALIGNMENT",
    "FORMAT_VERSION",
    "GROUPS",
    "RECORD",
    "SUM_ATTRIBUTE",
    "TABLES",
    "VERSION_ATTRIBUTE",
    "Skeleton",
    "TableSpec",
    "build_skeleton",
    "rows_per_block",
    "summed_tables",
]

FORMAT_VERSION = 1
VERSION_ATTRIBUTE = "embedcache_format"
SUM_ATTRIBUTE = "sum"

RECORD = "meta+checksums"
"""What that sum is of."""

ALIGNMENT = 4096
"""Bytes; a memory page, so that every table can be mapped by itself."""

_BLOCK_BYTES = 4 << 20
"""Target size of a feature block: large enough that 8 bytes of sum are nothing,
small enough that damage costs little to recompute."""


@dataclass(frozen=True)
class TableSpec:
    """One data set: its allowed dtypes and its shape, `-1` where any length will do.

    `other` is another form that it may have, of other dtypes; without `is_required` it may be
    absent.
    """

    dtypes: tuple[str, ...]
    shape: tuple[int | str, ...]
    other: TableSpec | None = None
    is_required: bool = True

    @property
    def all_dtypes(self) -> tuple[str, ...]:
        """The dtypes of all forms."""
        return self.dtypes + (self.other.all_dtypes if self.other is not None else ())

    def form(self, dtype: str) -> TableSpec | None:
        """The form of this dtype, `None` where there is none."""
        if dtype in self.dtypes:
            return self
        return self.other.form(dtype) if self.other is not None else None


TABLES: Mapping[str, TableSpec] = {
    "features": TableSpec(("<f2", "<f4"), ("N", "D")),
    "sha256": TableSpec(("|u1",), ("N", 32)),
    "ids/data": TableSpec(("|u1",), (-1,)),
    "ids/offsets": TableSpec(("<i8",), ("N+1",)),
    "labels": TableSpec(("<i4",), ("N",), other=TableSpec(("|u1",), ("N", "K"))),
    "classes/data": TableSpec(("|u1",), (-1,)),
    "classes/offsets": TableSpec(("<i8",), (-1,)),
    "split": TableSpec(("|u1",), ("N",)),
    "group": TableSpec(("<i4",), ("N",)),
    "groups/data": TableSpec(("|u1",), (-1,)),
    "groups/offsets": TableSpec(("<i8",), (-1,)),
    "numerics": TableSpec(("|u1",), ("N",)),
    "rejects/ids/data": TableSpec(("|u1",), (-1,)),
    "rejects/ids/offsets": TableSpec(("<i8",), ("R+1",)),
    "rejects/sha256": TableSpec(("|u1",), ("R", 32)),
    "rejects/reason": TableSpec(("|u1",), ("R",)),
    "rejects/detail/data": TableSpec(("|u1",), (-1,)),
    "rejects/detail/offsets": TableSpec(("<i8",), ("R+1",)),
    "rejects/decoder/data": TableSpec(("|u1",), (-1,)),
    "rejects/decoder/offsets": TableSpec(("<i8",), ("R+1",)),
    "seen": TableSpec(("|u1",), ("N",), is_required=False),
    "meta": TableSpec(("|u1",), (-1,)),
    "checksums": TableSpec(("<u8",), (-1,)),
}
"""All tables by path, in the order in which they lie in the file."""

GROUPS = sorted({path.rpartition("/")[0] for path in TABLES if "/" in path} | {"rejects"})
"""The groups that hold them."""


def summed_tables(present: Container[str]) -> list[str]:
    """Of the tables that a file has those with one sum each, which follow the feature blocks'."""
    others = ("features", "meta", "checksums")
    return [name for name in TABLES if name in present and name not in others]


def rows_per_block(row_bytes: int) -> int:
    """Rows of one feature block."""
    return max(1, _BLOCK_BYTES // max(1, row_bytes))


@dataclass(frozen=True)
class Skeleton:
    """A laid-out file without its data.

    Attributes:
        extents: The format's own bytes, as (offset, bytes).
        offsets: Where each table's data begins; absent for tables without a byte.
        size: Length of the whole file in bytes.
    """

    extents: tuple[tuple[int, bytes], ...]
    offsets: Mapping[str, int]
    size: int


class _WriteRecorder(io.RawIOBase):
    """A file that keeps what is written to it and forgets the rest.

    HDF5 writes only its headers here, a few kilobytes; the space of the tables
    is allocated, and never touched.
    """

    def __init__(self) -> None:
        super().__init__()
        self.chunks: dict[int, bytes] = {}
        self._position = 0
        self._size = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def truncate(self, size: int | None = None) -> int:
        self._size = self._position if size is None else size
        return self._size

    def write(self, data: object) -> int:
        chunk = bytes(memoryview(data))  # type: ignore[arg-type]  # RawIOBase types it as Buffer
        self.chunks[self._position] = chunk
        self._position += len(chunk)
        self._size = max(self._size, self._position)
        return len(chunk)

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]  # RawIOBase types it as Buffer
        view[:] = b"\0" * len(view)
        begin, end = self._position, self._position + len(view)
        for start, chunk in self.chunks.items():
            low, high = max(start, begin), min(start + len(chunk), end)
            if low < high:
                view[low - begin : high - begin] = chunk[low - start : high - start]
        self._position += len(view)
        return len(view)

    @property
    def size(self) -> int:
        return self._size


def build_skeleton(
    tables: Mapping[str, tuple[tuple[int, ...], np.dtype[np.generic]]], total: int
) -> Skeleton:
    """Lay out a file.

    Args:
        tables: Shape and dtype of every table of `TABLES`, but for those that are not required.
        total: Value of the sum attribute.
    """
    import h5py

    recorder = _WriteRecorder()
    with h5py.File(recorder, "w", alignment_threshold=1, alignment_interval=ALIGNMENT) as file:
        for group in GROUPS:
            file.create_group(group)
        handles = {}
        for path in [path for path in TABLES if path in tables]:
            shape, dtype = tables[path]
            creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            creation.set_layout(h5py.h5d.CONTIGUOUS)
            creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            creation.set_obj_track_times(False)
            handles[path] = h5py.h5d.create(
                file.id,
                path.encode(),
                h5py.h5t.py_create(dtype),
                h5py.h5s.create_simple(shape),
                dcpl=creation,
            )
        file.attrs.create(VERSION_ATTRIBUTE, FORMAT_VERSION, dtype="<u4")
        file.attrs.create(SUM_ATTRIBUTE, total, dtype="<u8")
        offsets = {path: handle.get_offset() for path, handle in handles.items()}
        handles.clear()  # closes the data sets, so that closing the file flushes everything
    end = max(
        offset + int(np.prod(tables[path][0])) * tables[path][1].itemsize
        for path, offset in offsets.items()
        if offset is not None
    )
    return Skeleton(
        tuple(sorted(recorder.chunks.items())),
        {path: offset for path, offset in offsets.items() if offset is not None},
        max(end, recorder.size, *(start + len(data) for start, data in recorder.chunks.items())),
    )
