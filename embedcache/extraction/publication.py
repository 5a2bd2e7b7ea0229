"""Publish the rows of a cache: never lose many unnoticed, never write what is there already.

N is the number of rows of the new file, D the embedding dimension.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import CacheError, RejectedInputsError, ShrinkError
from embedcache.extraction.assemble import Assembly, take_over
from embedcache.records.rejects import Reject
from embedcache.records.seen import SeenRows
from embedcache.store.cache import FeatureCache
from embedcache.store.catalog import CachePlace
from embedcache.store.contents import CacheMeta, RowTables
from embedcache.store.lookup import RowLookup
from embedcache.store.writer import write_cache

__all__ = ["guard_against_shrinking", "publish_assembly", "still_there"]

_CHUNK_BYTES = 64 << 20
_MOST_LOST = 0.1
"""Share of its rows that a cache may lose without being told to: more is a disk
that is not mounted rather than a data set that was tidied up."""


def still_there(live: FeatureCache, tables: RowTables) -> int:
    """How many of the live rows have their id or their bytes in the new tables.

    A renamed image keeps its bytes and an edited one its name: neither is a loss.
    """
    has_bytes = np.isin(_digest_keys(live.sha256), _digest_keys(tables.sha256))
    if has_bytes.mean() >= 1 - _MOST_LOST:
        return int(has_bytes.sum())  # enough; names would take more memory than digests
    ids = set(tables.ids)
    return sum(map(bool, has_bytes | np.fromiter((id_ in ids for id_ in live.ids), bool)))


def _digest_keys(digests: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    return np.ascontiguousarray(digests).view("S32").reshape(-1)


def guard_against_shrinking(
    live: FeatureCache | None, rows: int | None, *, prune: bool, where: object
) -> None:
    """Refuse to lose many rows unless told to.

    Args:
        live: The published cache.
        rows: How many of its rows would stay.
        prune: Whether losing them is wanted.
        where: The cache, for the message.

    Raises:
        ShrinkError: More than a tenth of the live cache's rows would be gone.
    """
    if live is None or rows is None or prune or rows >= len(live) * (1 - _MOST_LOST):
        return
    raise ShrinkError(
        f"the cache would lose {len(live) - rows:,} of its {len(live):,} rows",
        where=where,
        got=f"{rows:,} of its images",
        expected=f"at least {math.ceil(len(live) * (1 - _MOST_LOST)):,}",
        hint="check that the disk with the images is mounted; --prune if they are gone for good",
    )


def publish_assembly(
    place: CachePlace,
    assembly: Assembly,
    meta: CacheMeta,
    lookup: RowLookup,
    baseline: FeatureCache | None,
    *,
    prune: bool,
    seen: SeenRows | None = None,
) -> tuple[FeatureCache, bool]:
    """Write the file, unless the live one is equal already.

    Just before, the live file is read again: rows that another process has
    added to it since `baseline` was read are taken over.

    Args:
        place: Where it goes.
        assembly: Its rows.
        meta: Its record, but for the numerics.
        lookup: Where the features are.
        baseline: The published cache as it was when the rows were planned.
        prune: Whether losing many rows is wanted.
        seen: The images that trained the backbone.

    Returns:
        The live cache, and whether it changed.

    Raises:
        ShrinkError: Too many rows would be lost.
        RejectedInputsError: There is no row to publish.
    """
    live = _live(place, baseline)
    if live is not None and (baseline is None or live.content_digest != baseline.content_digest):
        assembly = take_over(assembly, live, baseline, lookup)
    assembly = _marked(assembly, seen)
    if not len(assembly.tables):
        raise _nothing_left(assembly.tables.rejects, meta)
    kept = None if live is None else still_there(live, assembly.tables)
    guard_against_shrinking(live, kept, prune=prune, where=place.file)
    if live is not None and _is_equal(live, assembly, meta, lookup):
        return live, False
    features = _features(assembly, lookup, meta.backbone.identity.stored_dtype)
    write_cache(place.file, assembly.tables, replace(meta, numerics=assembly.numerics), features)
    return FeatureCache(place.file), True


def _marked(assembly: Assembly, seen: SeenRows | None) -> Assembly:
    """The rows with what the backbone has seen of them, if it has seen any."""
    parts = None if seen is None else seen.of(assembly.tables.sha256)
    if parts is None or not parts.any():
        return assembly
    return replace(assembly, tables=replace(assembly.tables, seen=parts))


def _live(place: CachePlace, baseline: FeatureCache | None) -> FeatureCache | None:
    if not place.file.exists():
        return None
    try:
        live = FeatureCache(place.file, on_damage="blank")
    except CacheError:
        if baseline is not None:
            raise
        return None  # it was damaged from the start, and --overwrite said to replace it
    return live if live.identity == place.identity else None


def _is_equal(live: FeatureCache, assembly: Assembly, meta: CacheMeta, lookup: RowLookup) -> bool:
    """Whether nothing would change: the live file's own features beside equal tables.

    A cache that has moved with its data is written again, so that it knows where its images are.
    """
    used = {lookup.caches[number].content_digest for number in np.unique(assembly.cache)}
    return (
        not live.damaged_tables
        and used == {live.content_digest}
        and (live.meta.source, live.meta.root) == (meta.source, meta.root)
        and live.meta.numerics == assembly.numerics
        and live.tables == assembly.tables
    )


def _features(
    assembly: Assembly, lookup: RowLookup, stored_dtype: str
) -> Iterator[NDArray[np.floating]]:
    dim = lookup.caches[int(assembly.cache[0])].dim
    size = max(1, _CHUNK_BYTES // (dim * np.dtype(stored_dtype).itemsize))
    for start in range(0, len(assembly.row), size):
        caches = assembly.cache[start : start + size]
        rows = assembly.row[start : start + size]
        block = np.empty((len(rows), dim), stored_dtype)
        for number in np.unique(caches):
            mine = caches == number
            block[mine] = lookup.caches[number].rows(rows[mine])
        yield block


def _nothing_left(rejects: tuple[Reject, ...], meta: CacheMeta) -> RejectedInputsError:
    first = rejects[0] if rejects else None
    return RejectedInputsError(
        f"none of the {len(rejects):,} images could be read; no cache was written",
        where=meta.source.location,
        got=None if first is None else f"{os.fsdecode(first.id)}: {first.detail}",
        hint="check the source; embedcache extract --help lists the layouts it may have",
    )
