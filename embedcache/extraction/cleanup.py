"""Clean up after publishing: keep the digests, delete what the published file holds."""

from __future__ import annotations

import contextlib
from pathlib import Path

from embedcache.errors import CacheError, UsageError
from embedcache.extraction.files_index import FilesIndex
from embedcache.extraction.survey import FRAGMENTS, SHARDS
from embedcache.storage.publish import has_dead_writer
from embedcache.store.cache import FeatureCache
from embedcache.store.catalog import CachePlace
from embedcache.store.lookup import RowLookup

__all__ = ["clean_up"]


def clean_up(place: CachePlace, work: Path, index: FilesIndex, cache: FeatureCache) -> None:
    """Merge what was learnt about files, and delete shards whose rows are all published.

    Args:
        place: Where the cache is; its lock is held.
        work: The folder of plan and shards.
        index: The files index as it was.
        cache: The published cache.
    """
    fragments = sorted(work.glob(FRAGMENTS))
    if fragments:
        FilesIndex.merge([index, *map(FilesIndex.load, fragments)]).save(place.files_index)
    published = RowLookup()
    published.add(cache)
    for shard in sorted(work.glob(SHARDS)):
        if _is_published(shard, published):
            shard.unlink(missing_ok=True)
    abandoned = [*work.glob(".*"), *place.folder.glob(f".{place.file.name}*")]
    for path in (*fragments, work / "plan.json", work / "plan.samples"):
        path.unlink(missing_ok=True)
    for path in abandoned:
        # What a killed run was writing; under the lock, nobody else is.
        if has_dead_writer(path):
            path.unlink(missing_ok=True)
    # Rows of images that are gone keep the folder; `prune` removes it.
    with contextlib.suppress(OSError):
        work.rmdir()


def _is_published(shard: Path, published: RowLookup) -> bool:
    try:
        digests = FeatureCache(shard).sha256
    except (CacheError, UsageError):
        # Damaged: whatever it held was embedded again. Or gone: where locks do not work, another
        # writer has cleaned up before us.
        return True
    return bool((published.find_all(digests)[0] >= 0).all())
