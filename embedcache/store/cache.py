"""`FeatureCache`: read a cache file, memory-mapped, every byte checked before it is used.

N is the number of rows, D the embedding dimension, K the number of classes.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import CacheInvalidError, UsageError
from embedcache.records.identity import Identity
from embedcache.records.manifest import SPLITS
from embedcache.records.rejects import Reject
from embedcache.records.strings import Strings
from embedcache.storage.digests import block_sum
from embedcache.storage.publish import storage_errors
from embedcache.store.contents import CacheMeta, RowTables
from embedcache.store.layout import TABLES
from embedcache.store.validate import Extent, invalid, map_file
from embedcache.store.writer import content_digest

__all__ = ["FeatureCache"]

_MAP_NORESERVE = 0x4000 if sys.platform == "linux" else 0
"""Python names this flag from 3.13 on. Without it Linux refuses to map, as writable, a file
that is larger than memory and swap together, although next to nothing is ever written."""


class FeatureCache:
    """A cache of features, open for reading.

    Arrays are memory-mapped without a copy. Writing into them changes this
    process's view, never the file. The file is immutable: an `extract` that
    runs meanwhile publishes a new one, and this object keeps the old.

    Args:
        path: The `.h5` file.
        verify: Check sums: of the tables at once, of features when they are first
            handed out. Without it a flipped bit on the disk goes unnoticed.

    Raises:
        UsageError: There is no such file.
        CacheInvalidError: It is damaged or not a cache.
        FormatVersionError: It was written by a newer embedcache.
    """

    def __init__(self, path: str | os.PathLike[str], *, verify: bool = True) -> None:
        self.path = Path(path).absolute()
        self._verify = verify
        with storage_errors(self.path):
            if not self.path.is_file():
                raise UsageError(
                    "there is no cache file at this path",
                    where=self.path,
                    hint="embedcache ls lists the caches; embedcache extract SOURCE makes one",
                )
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            file_map = map_file(self.path, descriptor)
            with storage_errors(self.path):
                self._map = _map_private(descriptor)
        finally:
            os.close(descriptor)
        self._extents = file_map.tables
        self._sums = self._array("checksums")
        self.meta = self._read_meta(file_map.total)
        self._tables = self._read_tables()
        blocks = -(-len(self._tables) // self.meta.block_rows)
        self._checked = np.full(blocks, not verify)

    # -- opening ---------------------------------------------------------------

    def _array(self, name: str) -> NDArray[Any]:
        extent: Extent = self._extents[name]
        if not extent.nbytes:
            return np.empty(extent.shape, extent.dtype)
        flat = np.frombuffer(
            self._map, extent.dtype, extent.nbytes // extent.dtype.itemsize, extent.offset
        )
        return flat.reshape(extent.shape)

    def _read_meta(self, total: int) -> CacheMeta:
        data = self._array("meta").tobytes()
        if block_sum("meta+checksums", 0, data + self._sums.tobytes()) != total:
            raise invalid(self.path, "/meta or /checksums is damaged")
        try:
            meta = CacheMeta.from_bytes(data)
        except ValueError as error:
            raise invalid(self.path, "/meta cannot be read", got=error) from error
        rows, dim = self._extents["features"].shape
        stored = "float16" if self._extents["features"].dtype.itemsize == 2 else "float32"
        named = len(TABLES) - 3  # all but features, meta and checksums have one sum each
        if (
            meta.rows != rows
            or meta.backbone.dim != dim
            or meta.backbone.identity.stored_dtype != stored
            or len(self._sums) != -(-rows // meta.block_rows) + named
            or meta.content != content_digest(self._sums)
        ):
            raise invalid(self.path, "/meta describes another file than this one")
        return meta

    def _read_tables(self) -> RowTables:
        named = [name for name in TABLES if name not in ("features", "meta", "checksums")]
        arrays = {name: self._array(name) for name in named}
        if self._verify:
            for name, total in zip(named, self._sums[-len(named) :], strict=True):
                if block_sum(name, 0, arrays[name]) != total:
                    raise invalid(self.path, f"/{name} is damaged")
        try:
            tables = RowTables.from_arrays(arrays)
        except ValueError as error:
            raise invalid(self.path, "the tables contradict each other", got=error) from error
        if len(tables) and tables.numerics.max() >= len(self.meta.numerics):
            raise invalid(self.path, "/numerics points past the numerics list")
        return tables

    # -- what it is ------------------------------------------------------------

    @property
    def identity(self) -> Identity:
        """What the features depend on."""
        return self.meta.backbone.identity

    @property
    def content_digest(self) -> str:
        """SHA-256 over all block sums: equal digests mean equal rows and features."""
        return self.meta.content

    @property
    def dim(self) -> int:
        """D."""
        return self.meta.backbone.dim

    def __len__(self) -> int:
        return len(self._tables)

    def __repr__(self) -> str:
        return f"FeatureCache({str(self.path)!r}: {len(self):,} rows × {self.dim:,})"

    # -- rows ------------------------------------------------------------------

    @property
    def tables(self) -> RowTables:
        """All tables but the features."""
        return self._tables

    @property
    def X(self) -> NDArray[np.floating]:  # noqa: N802  # the field's name for the feature matrix
        """All features, (N, D) float16 or float32, verified and memory-mapped."""
        self._check_blocks(range(len(self._checked)))
        return self._features

    @property
    def y(self) -> NDArray[np.int32]:
        """Labels, (N,) int32 codes into `classes`, -1 for unlabelled."""
        return self._tables.labels

    @property
    def ids(self) -> Strings:
        """N ids: paths relative to the source's root."""
        return self._tables.ids

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """K class names."""
        return tuple(self._tables.classes.texts())

    @property
    def sha256(self) -> NDArray[np.uint8]:
        """Digest of each input's bytes, (N, 32) uint8."""
        return self._tables.sha256

    @property
    def split(self) -> NDArray[np.uint8]:
        """Codes of the source's own split, (N,) uint8: 0 none, 1 train, 2 val, 3 test."""
        return self._tables.split

    @property
    def rejects(self) -> tuple[Reject, ...]:
        """Inputs that have no row."""
        return self._tables.rejects

    def select(
        self,
        *,
        split: str | None = None,
        label: str | None = None,
        ids: Iterable[str] | None = None,
    ) -> NDArray[np.int64]:
        """Row numbers, ascending, of the rows that meet every given condition.

        Args:
            split: `train`, `val`, `test`, or `""` for rows without a split.
            label: A class name.
            ids: Ids; unknown ones are an error.

        Returns:
            (M,) int64, for use as `cache.X[rows]`.

        Raises:
            UsageError: A split, class or id that the cache does not have.
        """
        keep = np.ones(len(self), bool)
        if split is not None:
            keep &= self.split == _position("split", split, SPLITS)
        if label is not None:
            keep &= self.y == _position("class", label, self.classes)
        if ids is not None:
            wanted = {os.fsencode(item) for item in ids}
            named = np.fromiter((item in wanted for item in self.ids), bool, len(self))
            if named.sum() < len(wanted):
                missing = wanted.difference(self.ids)
                raise UsageError(
                    f"{len(missing)} ids are not in the cache",
                    where=self.path,
                    got=os.fsdecode(min(missing)),
                    hint="embedcache inspect --rows lists the ids",
                )
            keep &= named
        return np.flatnonzero(keep)

    def rows(self, rows: NDArray[np.int64]) -> NDArray[np.floating]:
        """A copy of the features at `rows`, (M,) int64; only their blocks are verified.

        Raises:
            IndexError: A row that the cache does not have. Rows do not count from the end,
                and a mask is no list of rows.
        """
        if rows.dtype.kind not in "iu":
            raise IndexError(f"got {rows.dtype}, expected row numbers, as `select` gives them")
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"got rows {rows.min()} to {rows.max()} of {len(self)}")
        self._check_blocks(np.unique(rows // self.meta.block_rows))
        return self._features[rows]

    def blocks(self) -> Iterator[tuple[slice, NDArray[np.floating]]]:
        """All features in order, block by block, as (rows, (B, D)); for caches beyond memory."""
        for index in range(len(self._checked)):
            self._check_blocks([index])
            rows = self._block(index)
            yield rows, self._features[rows]

    def damaged_rows(self) -> NDArray[np.int64]:
        """Row numbers, (M,) int64, whose features fail their sums."""
        damaged = [index for index in range(len(self._checked)) if not self._block_is_sound(index)]
        ranges = [np.arange(len(self), dtype=np.int64)[self._block(index)] for index in damaged]
        return np.concatenate(ranges) if ranges else np.empty(0, np.int64)

    @property
    def _features(self) -> NDArray[np.floating]:
        return self._array("features")

    def _block(self, index: int) -> slice:
        return slice(
            index * self.meta.block_rows, min(len(self), (index + 1) * self.meta.block_rows)
        )

    def _block_is_sound(self, index: int) -> bool:
        data = self._features[self._block(index)]
        return block_sum("features", index, data) == int(self._sums[index])

    def _check_blocks(self, indices: Iterable[int]) -> None:
        for index in indices:
            if self._checked[index]:
                continue
            if not self._block_is_sound(index):
                rows = self._block(index)
                raise CacheInvalidError(
                    f"the features of rows {rows.start} to {rows.stop - 1} are damaged",
                    where=self.path,
                    hint=f"embedcache verify --repair {self.path}",
                )
            self._checked[index] = True

    # -- life ------------------------------------------------------------------

    def __reduce__(self) -> tuple[type[FeatureCache], tuple[str]]:
        # A worker process opens and checks the file itself.
        return FeatureCache, (str(self.path),)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to release: the map lives as long as an array points into it."""


def _map_private(descriptor: int) -> mmap.mmap:
    """A private, writable map of a whole file: what is written stays in this process."""
    return mmap.mmap(
        descriptor,
        os.fstat(descriptor).st_size,
        flags=mmap.MAP_PRIVATE | _MAP_NORESERVE,
        prot=mmap.PROT_READ | mmap.PROT_WRITE,
    )


def _position(what: str, name: str, names: tuple[str, ...]) -> int:
    if name in names:
        return names.index(name)
    raise UsageError(f"unknown {what}", got=repr(name), expected=", ".join(map(repr, names[:20])))
