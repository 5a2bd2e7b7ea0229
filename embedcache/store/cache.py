"""`FeatureCache`: read a cache file, memory-mapped, every byte checked before it is used.

N is the number of rows, D the embedding dimension, K the number of classes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import CacheInvalidError, UsageError
from embedcache.records.identity import Identity
from embedcache.records.label_arrays import Labels, members
from embedcache.records.manifest import SPLITS
from embedcache.records.rejects import Reject
from embedcache.records.strings import Strings
from embedcache.storage.digests import block_sum
from embedcache.store.contents import RowTables
from embedcache.store.opening import OnDamage, open_file

__all__ = ["FeatureCache"]


class FeatureCache:
    """A cache of features, open for reading.

    Arrays are memory-mapped without a copy. Writing into them changes this
    process's view, never the file. The file is immutable: an `extract` that
    runs meanwhile publishes a new one, and this object keeps the old.

    Args:
        path: The `.h5` file.
        verify: Check sums: of the tables at once, of features when they are first
            handed out. Without it a flipped bit on the disk goes unnoticed.
        on_damage: What to do about damaged tables: as a rule, raise.

    Raises:
        UsageError: There is no such file.
        CacheInvalidError: It is damaged or not a cache.
        FormatVersionError: It was written by a newer embedcache.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        verify: bool = True,
        on_damage: OnDamage = "refuse",
    ) -> None:
        self.path = Path(path).absolute()
        self._file = open_file(self.path, verify=verify, on_damage=on_damage)
        self.meta = self._file.meta
        self._tables = self._file.tables
        blocks = -(-len(self._tables) // self.meta.block_rows)
        self._checked = np.full(blocks, not verify)

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
    def damaged_tables(self) -> tuple[str, ...]:
        """Tables that are damaged in the file, and mended or blank here."""
        return self._file.damaged

    @property
    def X(self) -> NDArray[np.floating]:  # noqa: N802  # the field's name for the feature matrix
        """All features, (N, D) float16 or float32, verified and memory-mapped."""
        self._check_blocks(range(len(self._checked)))
        return self._features

    @property
    def y(self) -> Labels:
        """Labels, (N,) int32 codes into `classes`, -1 for unlabelled.

        Of a multilabel cache: (N, K) uint8, 1 where a row has a class and 0 where it has not;
        an unlabelled row is 255 throughout.
        """
        return self._tables.labels

    @property
    def is_multilabel(self) -> bool:
        """Whether a row may have several classes."""
        return self._tables.is_multilabel

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
    def seen(self) -> NDArray[np.uint8]:
        """What a tuned backbone has seen of each row, (N,) uint8.

        0 nothing, 1 it was trained on it, 2 it was chosen by it: features of the latter two say
        nothing of images that it has not seen.
        """
        seen = self._tables.seen
        return np.zeros(len(self), np.uint8) if seen is None else seen

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
            label: A class name; of a multilabel cache, all rows that have it.
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
            keep &= members(self.y, _position("class", label, self.classes))
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
        return self._file.array("features")

    def _block(self, index: int) -> slice:
        return slice(
            index * self.meta.block_rows, min(len(self), (index + 1) * self.meta.block_rows)
        )

    def _block_is_sound(self, index: int) -> bool:
        data = self._features[self._block(index)]
        return block_sum("features", index, data) == int(self._file.sums[index])

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


def _position(what: str, name: str, names: tuple[str, ...]) -> int:
    if name in names:
        return names.index(name)
    raise UsageError(f"unknown {what}", got=repr(name), expected=", ".join(map(repr, names[:20])))
