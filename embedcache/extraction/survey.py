"""Survey a source: what is in it, what is cached already, what has to be read.

N is the number of samples in the manifest.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import CacheError, CacheInvalidError, EmbedcacheError
from embedcache.extraction.files_index import FilesIndex
from embedcache.extraction.records import ExtractOptions, Observer
from embedcache.records.backbone import READING_MARK, BackboneSpec
from embedcache.records.manifest import Manifest
from embedcache.records.rejects import Reject
from embedcache.store.cache import FeatureCache
from embedcache.store.catalog import CachePlace, caches_of_identity, find_caches
from embedcache.store.lookup import RowLookup

__all__ = ["Survey", "limit_manifest", "sibling_note", "survey"]

SHARDS = "shard-*.h5"
FRAGMENTS = "*.index"


@dataclass
class Survey:
    """What is known before anything is read.

    Attributes:
        manifest: The samples that the cache shall hold.
        lookup: Rows that may be reused.
        live: The published cache in this place, if there is one.
        index: Digests by path and stat.
        digests: (N, 32) uint8, zero where unknown.
        known: (N,) bool, whether the digest is known.
        content_rejects: Bytes that this decoder has refused before, by digest.
        rejects: Of each sample that is known to be one of them, the reject.
        pending: (M,) int64, samples that have to be read.
    """

    manifest: Manifest
    lookup: RowLookup
    live: FeatureCache | None
    index: FilesIndex
    digests: NDArray[np.uint8]
    known: NDArray[np.bool_]
    content_rejects: dict[bytes, Reject]
    rejects: dict[int, Reject]
    pending: NDArray[np.int64]


def survey(
    manifest: Manifest,
    place: CachePlace,
    work: Path,
    options: ExtractOptions,
    decoder: str,
    observer: Observer,
) -> Survey:
    """Look at the files' stats and at every cache that may hold their features."""
    live = _open_live(place, options, observer)
    manifest = limit_manifest(manifest, options.limit, live)
    lookup = RowLookup()
    rejects: dict[bytes, Reject] = {}
    for cache in _reusable(place, work, options, live, observer):
        lookup.add(cache)
        rejects |= {
            reject.digest: reject
            for reject in cache.rejects
            if reject.decoder == decoder and not reject.reason.is_environment
        }
    parts = [place.files_index, *sorted(work.glob(FRAGMENTS))]
    index = FilesIndex.merge(FilesIndex.load(path) for path in parts)
    count = len(manifest)
    if options.checksum:
        digests, known = np.zeros((count, 32), np.uint8), np.zeros(count, bool)
    else:
        paths = (manifest.path(row) for row in range(count))
        digests, known = index.known_digests(paths, count)
    found = np.zeros(count, bool)
    found[known] = lookup.find_all(digests[known])[0] >= 0
    refused = {}
    if rejects:
        for row in np.flatnonzero(known & ~found):
            reject = rejects.get(digests[row].tobytes())
            if reject is not None:
                refused[int(row)] = Reject(
                    manifest.ids[int(row)],
                    reject.digest,
                    reject.reason,
                    reject.detail,
                    reject.decoder,
                )
    found[list(refused)] = True
    return Survey(
        manifest, lookup, live, index, digests, known, rejects, refused, np.flatnonzero(~found)
    )


def limit_manifest(manifest: Manifest, limit: int | None, live: FeatureCache | None) -> Manifest:
    """At most `limit` samples, spread evenly so that every class has its share.

    Samples that the live cache has already stay: a quick look at a data set
    never takes rows away.
    """
    if limit is None or limit >= len(manifest):
        return manifest
    rows = set(np.linspace(0, len(manifest) - 1, limit).round().astype(int).tolist())
    if live is not None:
        cached = set(live.ids)
        rows.update(row for row, id_ in enumerate(manifest.ids) if id_ in cached)
    return manifest.take(np.array(sorted(rows), np.int64))


def _open_live(
    place: CachePlace, options: ExtractOptions, observer: Observer
) -> FeatureCache | None:
    if not place.file.exists():
        return None
    try:
        cache = _open(place.file, observer)
        if cache.identity != place.identity:
            raise CacheInvalidError(
                "this cache is of another backbone than its name says",
                where=place.file,
                got="; ".join(place.identity.differences(cache.identity)),
                hint="give the file its old name back, or embed again with --overwrite",
            )
    except CacheError as error:
        if not options.overwrite:
            raise
        observer.note(f"the present cache is replaced: {error.what}")
        return None
    return cache


def _reusable(
    place: CachePlace,
    work: Path,
    options: ExtractOptions,
    live: FeatureCache | None,
    observer: Observer,
) -> list[FeatureCache]:
    caches = []
    if not options.overwrite:
        caches = [live] if live is not None else []
        for path in caches_of_identity(place.root, place.identity):
            if path != place.file:
                caches += _open_quietly(path, observer)
    for path in sorted(work.glob(SHARDS)):
        caches += _open_quietly(path, observer)
    return [cache for cache in caches if cache.identity == place.identity]


def _open(path: Path, observer: Observer) -> FeatureCache:
    """A cache whose rows may be used again; the source says anew what is damaged beside them."""
    cache = FeatureCache(path, on_damage="blank")
    if cache.damaged_tables:
        names = ", ".join(f"/{name}" for name in cache.damaged_tables)
        observer.note(f"damaged, its rows are used again all the same: {names} of {path}")
    return cache


def _open_quietly(path: Path, observer: Observer) -> list[FeatureCache]:
    """The cache in a list, or nothing: a damaged file elsewhere must not stop this one."""
    try:
        return [_open(path, observer)]
    except EmbedcacheError as error:
        observer.note(f"not reused, {error.what}: {path}")
        return []


def sibling_note(place: CachePlace, spec: BackboneSpec) -> str | None:
    """Why an existing cache of the same architecture cannot be reused, if there is one.

    Activations are another thing than features: neither is a surprise beside the other.
    """
    if READING_MARK in spec.name:
        return None
    paths = [path for path in find_caches(place.root) if path.parent == place.folder]
    paths = [path for path in paths if READING_MARK not in path.name]
    for path in sorted(paths, key=os.path.getmtime, reverse=True):
        try:
            other = FeatureCache(path).identity
        except EmbedcacheError:
            continue
        mine = spec.identity
        if (other.source, other.architecture) == (mine.source, mine.architecture):
            changes = other.differences(mine)
            if changes:
                return f"a new cache beside {path.name}, because {'; '.join(changes)}"
    return None
