"""Repair a cache: embed the rows whose features are damaged again, and only those.

Everything else, the order of rows and the labels included, stays as it is in
the file: images that came or went since are the business of `extract`.
N is the number of rows, D the embedding dimension.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedcache.backbones.base import Backbone, BackboneRequest
from embedcache.errors import (
    CacheInvalidError,
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

__all__ = ["check_identity", "manifest_of", "repair", "source_of"]

_WINDOW = 64
"""Images that are read ahead."""


def repair(
    path: Path,
    *,
    device: str = "auto",
    backbone: Backbone | None = None,
    observer: Observer | None = None,
) -> int:
    """Embed the damaged rows of a cache again, from their images.

    Args:
        path: The cache file.
        device: Where to embed.
        backbone: A backbone in memory, for caches that were made with one.
        observer: Hears how it goes.

    Returns:
        How many images were embedded.

    Raises:
        UsageError: The features were made elsewhere.
        CacheInvalidError: An image of a damaged row is gone or has other bytes now.
        IdentityMismatchError: The backbone is not the one that made the cache any more.
        DriftError: This environment does not reproduce the cache's features.
        LockedError: Another process writes this cache.
        StorageError: The disk is full or the folder not writable.
    """
    cache = FeatureCache(path)
    with exclusive(cache.path.with_name(f".{cache.path.stem}.lock")):
        cache = FeatureCache(path)  # as it is now that nobody else writes it
        damaged = cache.damaged_rows()
        if not len(damaged):
            return 0
        source = source_of(cache, device, backbone)
        check_identity(cache, source)
        keeper = GoldenKeeper(source, [GoldenClaim.of(cache)], index_dir(cache.path.parent.parent))
        keeper.check_before_reuse()
        source.when_loaded(keeper.check_before_embedding)
        loaded = source.load()
        entries = tuple(dict.fromkeys([*cache.meta.numerics, loaded.numerics]))
        numerics = cache.tables.numerics.copy()
        numerics[damaged] = entries.index(loaded.numerics)
        write_cache(
            cache.path,
            replace(cache.tables, numerics=numerics),
            replace(cache.meta, numerics=entries, environment=environment(), created=utc_now()),
            _blocks(cache, damaged, loaded, observer or SilentObserver()),
        )
        return len(damaged)


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
    cache: FeatureCache, damaged: NDArray[np.int64], backbone: Backbone, observer: Observer
) -> Iterator[NDArray[np.floating]]:
    """All features in order, (·, D): sound blocks as they are, damaged ones embedded."""
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
    is_damaged = np.zeros(len(cache), bool)
    is_damaged[damaged] = True
    size, done = cache.meta.block_rows, 0
    with contextlib.closing(loader.stream(map(int, damaged))) as stream:
        for start in range(0, len(cache), size):
            rows = np.arange(start, min(start + size, len(cache)))
            if not is_damaged[start]:
                yield cache.rows(rows)
                continue
            for features in _embed(cache, islice(stream, len(rows)), backbone):
                done += len(features)
                observer.progress(done, len(damaged))
                yield features


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
