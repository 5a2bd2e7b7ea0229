"""Repair a cache: embed the rows whose features are damaged again, and only those.

A flipped bit of another table is flipped back. Everything else, the order of
rows and the labels included, stays as it is in the file: images that came or
went since are the business of `extract`. Damaged rows that cannot be embedded
again are left out on request only.
N is the number of rows, D the embedding dimension.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedcache.backbones.base import Backbone
from embedcache.errors import CacheInvalidError, EmbedcacheError
from embedcache.extraction.environment import environment, utc_now
from embedcache.extraction.golden import GoldenClaim, GoldenKeeper
from embedcache.extraction.records import Observer, SilentObserver
from embedcache.extraction.workplace import index_dir
from embedcache.storage.locks import exclusive
from embedcache.store.cache import FeatureCache
from embedcache.store.opening import check_is_file
from embedcache.store.writer import write_cache
from embedcache.workflows.lost_rows import lost_rows, names_of, rows_are_lost, tables_of
from embedcache.workflows.mending import mended_blocks
from embedcache.workflows.origin import check_identity, source_of

__all__ = ["Repaired", "repair"]


@dataclass(frozen=True)
class Repaired:
    """What a repair has done.

    Attributes:
        embedded: How many images were embedded again.
        dropped: Ids of the rows that the cache does not have any more.
        tables: Tables of which a flipped bit was flipped back.
    """

    embedded: int = 0
    dropped: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()


def repair(
    path: Path,
    *,
    drop_lost: bool = False,
    device: str = "auto",
    backbone: Backbone | None = None,
    observer: Observer | None = None,
) -> Repaired:
    """Embed the damaged rows of a cache again, from their images; flip bits of tables back.

    Args:
        path: The cache file.
        drop_lost: Leave out damaged rows whose images are gone or have changed; all damaged
            rows where nothing can be embedded here.
        device: Where to embed.
        backbone: A backbone in memory, for caches that were made with one.
        observer: Hears how it goes.

    Raises:
        UsageError: The features were made elsewhere.
        CacheInvalidError: Rows are lost, and `drop_lost` is not given or no row is sound; or
            more than a bit of a table is damaged.
        IdentityMismatchError: The backbone is not the one that made the cache any more.
        DriftError: This environment does not reproduce the cache's features.
        LockedError: Another process writes this cache.
        StorageError: The disk is full or the folder not writable.
    """
    observer = observer or SilentObserver()
    path = check_is_file(path.absolute())
    with exclusive(path.with_name(f".{path.stem}.lock")):
        cache = _opened(path, observer)
        damaged = cache.damaged_rows()
        if not len(damaged) and not cache.damaged_tables:
            return Repaired()
        loaded = None
        if len(damaged):
            loaded = _backbone(cache, device, backbone, observer, may_fail=drop_lost)
        lost = damaged if loaded is None else lost_rows(cache, damaged)
        if len(lost) and (not drop_lost or len(lost) == len(cache)):
            raise rows_are_lost(cache, lost, damaged)
        mended = np.setdiff1d(damaged, lost)
        _write(cache, mended, np.setdiff1d(np.arange(len(cache)), lost), loaded, observer)
        return Repaired(len(mended), names_of(cache, lost), cache.damaged_tables)


def _opened(path: Path, observer: Observer) -> FeatureCache:
    """The cache, with flipped bits of its tables flipped back in memory."""
    try:
        return FeatureCache(path)
    except CacheInvalidError as error:
        observer.note(f"{error.what}: looking for one bit that was flipped")
        return FeatureCache(path, on_damage="mend")


def _backbone(
    cache: FeatureCache,
    device: str,
    backbone: Backbone | None,
    observer: Observer,
    *,
    may_fail: bool,
) -> Backbone | None:
    """The backbone of a cache, after its golden record; with `may_fail`, `None` without it."""
    try:
        source = source_of(cache, device, backbone)
        check_identity(cache, source)
        keeper = GoldenKeeper(source, [GoldenClaim.of(cache)], index_dir(cache.path.parent.parent))
        keeper.check_before_reuse()
        source.when_loaded(keeper.check_before_embedding)
        return source.load()
    except EmbedcacheError as error:
        if not may_fail:
            raise
        observer.note(f"nothing can be embedded here: {error.what}")
        return None


def _write(
    cache: FeatureCache,
    mended: NDArray[np.int64],
    kept: NDArray[np.int64],
    backbone: Backbone | None,
    observer: Observer,
) -> None:
    """Publish the rows to keep, the mended among them embedded again."""
    tables, entries = cache.tables, cache.meta.numerics
    if backbone is not None:
        entries = tuple(dict.fromkeys([*entries, backbone.numerics]))
        numerics = tables.numerics.copy()
        numerics[mended] = entries.index(backbone.numerics)
        tables = replace(tables, numerics=numerics)
    if len(kept) < len(cache):
        tables = tables_of(tables, kept)
    write_cache(
        cache.path,
        tables,
        replace(cache.meta, numerics=entries, environment=environment(), created=utc_now()),
        mended_blocks(cache, mended, kept, backbone, observer),
    )
