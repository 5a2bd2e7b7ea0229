"""Open a cache file: map it, and check the small tables before anything is believed.

N is the number of rows.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UsageError
from embedcache.storage.digests import block_sum
from embedcache.storage.publish import storage_errors
from embedcache.store.contents import CacheMeta, RowTables
from embedcache.store.layout import TABLES
from embedcache.store.validate import Extent, invalid, map_file
from embedcache.store.writer import content_digest

__all__ = ["OpenFile", "open_file"]

_MAP_NORESERVE = 0x4000 if sys.platform == "linux" else 0
"""Python names this flag from 3.13 on. Without it Linux refuses to map, as writable, a file
that is larger than memory and swap together, although next to nothing is ever written."""


@dataclass(frozen=True, eq=False)
class OpenFile:
    """A mapped cache file, its tables checked, its features not yet.

    Attributes:
        raw: The map of the whole file.
        extents: Where each table that it has lies.
        sums: Block sums of features and tables, uint64.
        meta: The record.
        tables: All N rows but their features.
    """

    raw: mmap.mmap
    extents: Mapping[str, Extent]
    sums: NDArray[np.uint64]
    meta: CacheMeta
    tables: RowTables

    def array(self, name: str) -> NDArray[Any]:
        """A table as it is in the file, without a copy."""
        return _array(self.raw, self.extents[name])


def open_file(path: Path, *, verify: bool) -> OpenFile:
    """Map a cache file and read all of it but the features.

    Args:
        path: Absolute.
        verify: Check the sums of the tables.

    Raises:
        UsageError: There is no such file.
        CacheInvalidError: It is damaged or not a cache.
        FormatVersionError: It was written by a newer embedcache.
        StorageError: The system refuses to read it.
    """
    with storage_errors(path):
        descriptor = _opened(path)
    try:
        file_map = map_file(path, descriptor)
        with storage_errors(path):
            raw = _map_private(descriptor)
    finally:
        os.close(descriptor)
    sums = _array(raw, file_map.tables["checksums"])
    meta = _read_meta(path, raw, file_map.tables, sums, file_map.total)
    tables = _read_tables(path, raw, file_map.tables, sums, verify=verify)
    if len(tables) and tables.numerics.max() >= len(meta.numerics):
        raise invalid(path, "/numerics points past the numerics list")
    return OpenFile(raw, file_map.tables, sums, meta, tables)


def _opened(path: Path) -> int:
    if path.is_dir():
        raise UsageError(
            "a folder stands where a cache file should be",
            where=path,
            hint="move it away, or name the .h5 file that is meant",
        )
    if path.is_file():
        with contextlib.suppress(FileNotFoundError):  # it may go in this moment
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    raise UsageError(
        "there is no cache file at this path",
        where=path,
        hint="embedcache ls lists the caches; embedcache extract SOURCE makes one",
    )


def _map_private(descriptor: int) -> mmap.mmap:
    """A private, writable map of a whole file: what is written stays in this process."""
    return mmap.mmap(
        descriptor,
        os.fstat(descriptor).st_size,
        flags=mmap.MAP_PRIVATE | _MAP_NORESERVE,
        prot=mmap.PROT_READ | mmap.PROT_WRITE,
    )


def _array(raw: mmap.mmap, extent: Extent) -> NDArray[Any]:
    if not extent.nbytes:
        return np.empty(extent.shape, extent.dtype)
    count = extent.nbytes // extent.dtype.itemsize
    return np.frombuffer(raw, extent.dtype, count, extent.offset).reshape(extent.shape)


def _read_meta(
    path: Path,
    raw: mmap.mmap,
    extents: Mapping[str, Extent],
    sums: NDArray[np.uint64],
    total: int,
) -> CacheMeta:
    data = _array(raw, extents["meta"]).tobytes()
    if block_sum("meta+checksums", 0, data + sums.tobytes()) != total:
        raise invalid(path, "/meta or /checksums is damaged")
    try:
        meta = CacheMeta.from_bytes(data)
    except ValueError as error:
        raise invalid(path, "/meta cannot be read", got=error) from error
    rows, dim = extents["features"].shape
    stored = "float16" if extents["features"].dtype.itemsize == 2 else "float32"
    if (
        meta.rows != rows
        or meta.backbone.dim != dim
        or meta.backbone.identity.stored_dtype != stored
        or len(sums) != -(-rows // meta.block_rows) + len(_summed(extents))
        or meta.content != content_digest(sums)
    ):
        raise invalid(path, "/meta describes another file than this one")
    return meta


def _read_tables(
    path: Path,
    raw: mmap.mmap,
    extents: Mapping[str, Extent],
    sums: NDArray[np.uint64],
    *,
    verify: bool,
) -> RowTables:
    names = _summed(extents)
    arrays = {name: _array(raw, extents[name]) for name in names}
    if verify:
        for name, total in zip(names, sums[-len(names) :], strict=True):
            if block_sum(name, 0, arrays[name]) != total:
                raise invalid(path, f"/{name} is damaged")
    try:
        return RowTables.from_arrays(arrays)
    except ValueError as error:
        raise invalid(path, "the tables contradict each other", got=error) from error


def _summed(extents: Mapping[str, Extent]) -> list[str]:
    """The tables that have one sum each, after those of the feature blocks."""
    others = ("features", "meta", "checksums")
    return [name for name in TABLES if name in extents and name not in others]
