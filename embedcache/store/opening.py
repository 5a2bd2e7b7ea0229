"""Open a cache file: map it, and check the small tables before anything is believed.

N is the number of rows.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import CacheInvalidError, UsageError
from embedcache.records.imported import is_imported
from embedcache.storage.digests import block_sum
from embedcache.storage.publish import storage_errors
from embedcache.store.blank import with_blanks
from embedcache.store.contents import CacheMeta, RowTables
from embedcache.store.flipped_bits import flip_bits_back
from embedcache.store.layout import RECORD, summed_tables
from embedcache.store.validate import Extent, invalid, map_file
from embedcache.store.writer import content_digest

__all__ = ["OnDamage", "OpenFile", "check_is_file", "open_file"]

OnDamage = Literal["refuse", "mend", "blank"]
"""What to do about damaged tables: raise; put flipped bits back in memory, and raise where that
does not help; or leave what a source says of the rows blank, and raise if more is damaged."""

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
        damaged: Tables that were damaged, and are mended or blank now.
    """

    raw: mmap.mmap
    extents: Mapping[str, Extent]
    sums: NDArray[np.uint64]
    meta: CacheMeta
    tables: RowTables
    damaged: tuple[str, ...] = ()

    def array(self, name: str) -> NDArray[Any]:
        """A table as it is in the file, without a copy."""
        return _array(self.raw, self.extents[name])


def open_file(path: Path, *, verify: bool, on_damage: OnDamage = "refuse") -> OpenFile:
    """Map a cache file and read all of it but the features.

    Args:
        path: Absolute.
        verify: Check the sums of the tables.
        on_damage: What to do where they don't fit.

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
    arrays = {name: _array(raw, extent) for name, extent in file_map.tables.items()}
    total, mended = file_map.total, tuple[str, ...]()
    if on_damage == "mend":
        total, mended = flip_bits_back(arrays, total)
    if block_sum(RECORD, 0, arrays["meta"].tobytes() + arrays["checksums"].tobytes()) != total:
        raise _is_damaged(path, ("meta or /checksums",), "extract --overwrite SOURCE", on_damage)
    meta = _read_meta(path, arrays)
    damaged = _damaged(arrays) if verify else ()
    if damaged:
        blank = with_blanks(arrays, damaged)
        if blank is None or on_damage != "blank":
            again = _made_again(meta, needs_overwrite=blank is None)
            raise _is_damaged(path, damaged, again, on_damage)
        arrays = blank
    try:
        tables = RowTables.from_arrays(arrays)
    except ValueError as error:
        raise invalid(path, "the tables contradict each other", got=error) from error
    if len(tables) and tables.numerics.max() >= len(meta.numerics):
        raise invalid(path, "/numerics points past the numerics list")
    return OpenFile(raw, file_map.tables, arrays["checksums"], meta, tables, mended or damaged)


def check_is_file(path: Path) -> Path:
    """The path, if a file lies there.

    Raises:
        UsageError: None does.
    """
    if path.is_dir():
        raise UsageError(
            "a folder stands where a cache file should be",
            where=path,
            hint="move it away, or name the .h5 file that is meant",
        )
    if path.is_file():
        return path
    raise UsageError(
        "there is no cache file at this path",
        where=path,
        hint="embedcache ls lists the caches; embedcache extract SOURCE makes one",
    )


def _opened(path: Path) -> int:
    try:
        return os.open(check_is_file(path), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # it has gone in this moment
        return os.open(check_is_file(path), os.O_RDONLY | os.O_CLOEXEC)


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


def _read_meta(path: Path, arrays: Mapping[str, NDArray[Any]]) -> CacheMeta:
    sums, features = arrays["checksums"], arrays["features"]
    try:
        meta = CacheMeta.from_bytes(arrays["meta"].tobytes())
    except ValueError as error:
        raise invalid(path, "/meta cannot be read", got=error) from error
    rows, dim = features.shape
    if (
        meta.rows != rows
        or meta.backbone.dim != dim
        or meta.backbone.identity.stored_dtype != features.dtype.name
        or len(sums) != -(-rows // meta.block_rows) + len(summed_tables(arrays))
        or meta.content != content_digest(sums)
    ):
        raise invalid(path, "/meta describes another file than this one")
    return meta


def _damaged(arrays: Mapping[str, NDArray[Any]]) -> tuple[str, ...]:
    """The tables that do not fit their sums."""
    names = summed_tables(arrays)
    totals = arrays["checksums"][-len(names) :].tolist()
    return tuple(
        name
        for name, total in zip(names, totals, strict=True)
        if block_sum(name, 0, arrays[name]) != total
    )


def _made_again(meta: CacheMeta, *, needs_overwrite: bool) -> str:
    """The command that makes a cache again, of which tables are damaged."""
    if is_imported(meta.backbone.identity):
        return f"import {meta.source.location}"
    return f"extract {'--overwrite ' if needs_overwrite else ''}{meta.source.location}"


def _is_damaged(
    path: Path, damaged: tuple[str, ...], again: str, on_damage: OnDamage
) -> CacheInvalidError:
    names = ", ".join(f"/{name}" for name in damaged)
    again = f"embedcache {again} makes the cache again"
    tried = on_damage == "mend"
    return CacheInvalidError(
        f"{names} {'is' if len(damaged) == 1 else 'are'} damaged",
        where=path,
        got="more than one flipped bit, or more tables than are searched for it" if tried else None,
        hint=again
        if tried
        else f"embedcache verify --repair {path} puts a flipped bit back; or {again}",
    )
