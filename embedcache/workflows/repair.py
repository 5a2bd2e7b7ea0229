"""Repair a cache: embed the rows whose features are damaged again, and only those.

Everything else, the order of rows and the labels included, stays as it is in
the file: images that came or went since are the business of `extract`. Damaged
rows that cannot be embedded again are left out on request only.
N is the number of rows, D the embedding dimension.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedcache.backbones.base import Backbone, BackboneRequest
from embedcache.errors import (
    CacheInvalidError,
    EmbedcacheError,
    FeatureOverflowError,
    IdentityMismatchError,
    UsageError,
)
from embedcache.extraction.environment import environment, utc_now
from embedcache.extraction.golden import GoldenClaim, GoldenKeeper
from embedcache.extraction.loading import Loaded, Loader, default_workers
from embedcache.extraction.records import Observer, SilentObserver, Timings
from embedcache.extraction.source import BackboneSource
from embedcache.extraction.workplace import index_dir
from embedcache.inputs.images import decoder_version
from embedcache.records.imported import is_imported
from embedcache.records.manifest import Manifest
from embedcache.storage.locks import exclusive
from embedcache.store.cache import FeatureCache
from embedcache.store.lookup import RowLookup
from embedcache.store.writer import write_cache
from embedcache.workflows.lost_rows import lost_rows, names_of, rows_are_lost, tables_of

__all__ = ["Repaired", "check_identity", "manifest_of", "repair", "source_of"]

_WINDOW = 64
"""Images that are read ahead."""


@dataclass(frozen=True)
class Repaired:
    """What a repair has done.

    Attributes:
        embedded: How many images were embedded again.
        dropped: Ids of the rows that the cache does not have any more.
    """

    embedded: int = 0
    dropped: tuple[str, ...] = ()


def repair(
    path: Path,
    *,
    drop_lost: bool = False,
    device: str = "auto",
    backbone: Backbone | None = None,
    observer: Observer | None = None,
) -> Repaired:
    """Embed the damaged rows of a cache again, from their images.

    Args:
        path: The cache file.
        drop_lost: Leave out damaged rows whose images are gone or have changed; all damaged
            rows where nothing can be embedded here.
        device: Where to embed.
        backbone: A backbone in memory, for caches that were made with one.
        observer: Hears how it goes.

    Raises:
        UsageError: The features were made elsewhere.
        CacheInvalidError: Rows are lost, and `drop_lost` is not given or no row is sound.
        IdentityMismatchError: The backbone is not the one that made the cache any more.
        DriftError: This environment does not reproduce the cache's features.
        LockedError: Another process writes this cache.
        StorageError: The disk is full or the folder not writable.
    """
    observer = observer or SilentObserver()
    cache = FeatureCache(path)
    with exclusive(cache.path.with_name(f".{cache.path.stem}.lock")):
        cache = FeatureCache(path)  # as it is now that nobody else writes it
        damaged = cache.damaged_rows()
        if not len(damaged):
            return Repaired()
        loaded = _backbone(cache, device, backbone, observer, may_fail=drop_lost)
        lost = damaged if loaded is None else lost_rows(cache, damaged)
        if len(lost) and (not drop_lost or len(lost) == len(cache)):
            raise rows_are_lost(cache, lost, damaged)
        mended = np.setdiff1d(damaged, lost)
        _write(cache, mended, np.setdiff1d(np.arange(len(cache)), lost), loaded, observer)
        return Repaired(len(mended), names_of(cache, lost))


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
        _blocks(cache, mended, kept, backbone, observer),
    )


def source_of(cache: FeatureCache, device: str, backbone: Backbone | None) -> BackboneSource:
    """The backbone that made a cache, or `backbone` where it was made in memory.

    Raises:
        UsageError: The features were made elsewhere.
        CacheInvalidError: The cache does not say how to load it.
    """
    if is_imported(cache.identity):
        raise UsageError(
            "these features were imported: their backbone is not known here",
            where=cache.path,
            got=cache.meta.backbone.name,
            hint=f"embedcache import {cache.meta.source.location} makes the cache again",
        )
    root = cache.path.parent.parent
    if backbone is not None:
        return BackboneSource(backbone, index_dir=index_dir(root))
    try:
        request = BackboneRequest.from_json(cache.meta.request)
    except ValueError as error:
        raise CacheInvalidError(
            "this cache does not say how to load its backbone", where=cache.path, got=error
        ) from error
    return BackboneSource(request, index_dir=index_dir(root), device=device)


def check_identity(cache: FeatureCache, source: BackboneSource) -> None:
    """Refuse a backbone that is not the one that made the cache.

    Raises:
        IdentityMismatchError: Anything that features depend on has changed.
    """
    changes = cache.identity.differences(source.spec.identity)
    if changes:
        raise IdentityMismatchError(
            "the backbone is not the one that made this cache any more",
            where=cache.path,
            got="; ".join(changes),
            hint="embedcache extract makes a new cache for it",
        )


def _blocks(
    cache: FeatureCache,
    mended: NDArray[np.int64],
    kept: NDArray[np.int64],
    backbone: Backbone | None,
    observer: Observer,
) -> Iterator[NDArray[np.floating]]:
    """The features to keep in order, (·, D): sound blocks as they are, damaged ones embedded."""
    is_mended = np.zeros(len(cache), bool)
    is_mended[mended] = True
    block, done = kept // cache.meta.block_rows, 0
    with contextlib.closing(_stream(cache, mended, backbone)) as stream:
        for rows in np.split(kept, np.flatnonzero(np.diff(block)) + 1):
            # Damage is known by the block: of one, all rows to keep are embedded, or none.
            if not is_mended[rows[0]]:
                yield cache.rows(rows)
                continue
            assert backbone is not None, "it mends rows"
            for features in _embed(cache, islice(stream, len(rows)), backbone):
                done += len(features)
                observer.progress(done, len(mended))
                yield features


def _stream(
    cache: FeatureCache, rows: NDArray[np.int64], backbone: Backbone | None
) -> Generator[Loaded]:
    """The images of rows, read and prepared ahead."""
    if backbone is None:
        return
    loader = Loader(
        manifest=manifest_of(cache),
        lookup=RowLookup(),
        prepare=backbone.prepare,
        decoder=decoder_version(),
        content_rejects={},
        workers=default_workers(),
        window=_WINDOW,
        timings=Timings(),
    )
    with contextlib.closing(loader.stream(map(int, rows))) as stream:
        yield from stream


def manifest_of(cache: FeatureCache) -> Manifest:
    """The samples that have a row in a cache, in its order."""
    tables = cache.tables
    return Manifest(
        cache.meta.source,
        cache.meta.root,
        tables.ids,
        tables.labels,
        tables.classes,
        tables.split,
        tables.group,
        tables.groups,
    )


def _embed(
    cache: FeatureCache, samples: Iterable[Loaded], backbone: Backbone
) -> Iterator[NDArray[np.floating]]:
    stored = np.dtype(cache.identity.stored_dtype)
    samples = iter(samples)
    while batch := list(islice(samples, backbone.numerics.batch_size)):
        images = [_unchanged(cache, sample) for sample in batch]
        features = backbone.submit(np.stack(images)).result()
        if not np.abs(features).max() <= float(np.finfo(stored).max):  # NaN is none either
            raise FeatureOverflowError(
                f"a feature does not fit into {stored}, although it once did",
                where=cache.ids.text(batch[0].row),
                hint="embedcache verify tells whether this environment has drifted",
            )
        yield features.astype(stored)


def _unchanged(cache: FeatureCache, sample: Loaded) -> NDArray[np.uint8]:
    """The prepared image of a row, if its bytes are those that the row was made from."""
    if sample.prepared is None or sample.digest != cache.sha256[sample.row].tobytes():
        raise CacheInvalidError(
            "damaged rows cannot be repaired: an image is gone or has changed",
            where=cache.path,
            got=cache.ids.text(sample.row),
            hint=f"embedcache extract {cache.meta.source.location} embeds what there is now",
        )
    return sample.prepared
