"""What lies under the cache root and the runs folder, and what of it nothing refers to."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from embedcache.errors import EmbedcacheError
from embedcache.heads.artefact import Head
from embedcache.records.backbone import READING_MARK
from embedcache.runs.folder import list_runs
from embedcache.storage.publish import TEMPORARY_MARK, has_dead_writer
from embedcache.store.cache import FeatureCache
from embedcache.store.catalog import find_caches

__all__ = ["CacheEntry", "Leftover", "RunEntry", "caches", "delete", "leftovers", "runs"]

_YOUNG_SECONDS = 3600
"""What was touched within the hour may belong to a process that is still at work."""


@dataclass(frozen=True)
class CacheEntry:
    """One cache file.

    Attributes:
        path: Absolute.
        backbone: Name, empty where the file cannot be read.
        rows: N.
        dim: D.
        bytes: Size of the file.
        source: Where its images came from.
        content: Digest of its rows, empty where there are none to read.
        state: `ok`, or what is stale, unfinished or wrong.
    """

    path: Path
    backbone: str
    rows: int
    dim: int
    bytes: int
    source: str
    content: str
    state: str

    def to_json(self) -> dict[str, Any]:
        """One flat object."""
        return {**asdict(self), "path": str(self.path)}


@dataclass(frozen=True)
class RunEntry:
    """One run folder.

    Attributes:
        path: Absolute.
        model: Of its head, empty where that cannot be read.
        backbone: Name of the backbone whose features it takes, or the names of several.
        identities: Digest of each backbone's identity.
        contents: Digest of each cache that it was fitted on.
        bytes: Size of the folder.
        state: `ok`, or what is stale or wrong.
    """

    path: Path
    model: str
    backbone: str
    identities: tuple[str, ...]
    contents: tuple[str, ...]
    bytes: int
    state: str

    def to_json(self) -> dict[str, Any]:
        """One flat object."""
        return {**asdict(self), "path": str(self.path)}


@dataclass(frozen=True)
class Leftover:
    """Something that nothing refers to."""

    path: Path
    bytes: int
    reason: str

    def to_json(self) -> dict[str, Any]:
        """One flat object."""
        return {**asdict(self), "path": str(self.path)}


def caches(root: Path) -> list[CacheEntry]:
    """Every cache under the root, and every extraction that has not published one yet."""
    entries = [_cache_entry(path) for path in find_caches(root)]
    for work in sorted(root.glob("*/.*.work")):
        path = work.with_name(work.name[1:].removesuffix(".work") + ".h5")
        if not path.exists():
            entries.append(
                CacheEntry(path, "", 0, 0, _size(work), "", "", "unfinished: extract again")
            )
    return entries


def _cache_entry(path: Path) -> CacheEntry:
    size = path.stat().st_size
    try:
        cache = FeatureCache(path)
    except EmbedcacheError as error:
        return CacheEntry(path, "", 0, 0, size, "", "", f"invalid: {error.what}")
    source = cache.meta.source.location
    state = "ok"
    if not os.path.exists(source):
        state = "source is gone"
    elif path.with_name(f".{path.stem}.work").exists():
        state = "unfinished update: extract again"
    return CacheEntry(
        path,
        cache.meta.backbone.name,
        len(cache),
        cache.dim,
        size,
        source,
        cache.content_digest,
        state,
    )


def runs(root: Path, caches: Iterable[CacheEntry]) -> list[RunEntry]:
    """Every run in the runs folder; it is stale where none of `caches` has its rows any more."""
    contents = {cache.content for cache in caches}
    entries = []
    for path in list_runs(root):
        try:
            head = Head.load(path)
        except EmbedcacheError as error:
            entries.append(RunEntry(path, "", "", (), (), _size(path), f"invalid: {error.what}"))
            continue
        mine = tuple(source.content_digest for source in head.sources)
        entries.append(
            RunEntry(
                path,
                head.model,
                head.backbone,
                tuple(source.identity.digest for source in head.sources),
                mine,
                _size(path),
                "ok" if contents.issuperset(mine) else "its cache has changed since or is gone",
            )
        )
    return entries


def leftovers(cache_root: Path, runs_root: Path, *, activations: bool = False) -> list[Leftover]:
    """What can go: abandoned temporary files, finished work, caches without source or run.

    Args:
        cache_root: The cache root.
        runs_root: The runs folder.
        activations: Whether caches of activations can go, whatever their source.
    """
    pattern = f".*{TEMPORARY_MARK}*"
    found = [
        Leftover(path, _size(path), "temporary, its writer is gone")
        for path in sorted({*cache_root.rglob(pattern), *runs_root.rglob(pattern)})
        if _is_abandoned(path) and not any(map(has_dead_writer, path.parents))
    ]
    work_folders = [*cache_root.glob("*/.*.work"), *cache_root.glob("*/.*.overwrite")]
    found += [
        Leftover(work, _size(work), "shards of images that are gone")
        for work in sorted(work_folders)
        if not (work / "plan.json").exists() and not _is_young(work)
    ]
    used = {identity for run in runs(runs_root, ()) for identity in run.identities}
    for path in find_caches(cache_root):
        try:
            cache = FeatureCache(path)
        except EmbedcacheError:
            continue
        if activations and READING_MARK in cache.meta.backbone.name:
            reason = "activations: computed again if the tail is fine-tuned"
            found.append(Leftover(path, path.stat().st_size, reason))
        elif cache.identity.digest not in used and not os.path.exists(cache.meta.source.location):
            reason = "its source is gone and no run refers to its backbone"
            found.append(Leftover(path, path.stat().st_size, reason))
    return found + _orphaned_indexes(cache_root, {leftover.path for leftover in found})


def _orphaned_indexes(cache_root: Path, gone: set[Path]) -> list[Leftover]:
    """Indexes of files in folders without a cache or unfinished work, but for what is to go."""
    found = []
    for index in sorted(cache_root.glob("*/files.index")):
        beside = {*index.parent.glob("*.h5"), *index.parent.glob(".*.work")}
        if not beside - gone and not _is_young(index):
            found.append(Leftover(index, index.stat().st_size, "index of files, without a cache"))
    return found


def delete(leftover: Leftover) -> None:
    """Delete one leftover."""
    if leftover.path.is_dir() and not leftover.path.is_symlink():
        shutil.rmtree(leftover.path)
    else:
        leftover.path.unlink(missing_ok=True)


def _is_abandoned(path: Path) -> bool:
    """Whether the process that made a temporary file is surely gone, here and elsewhere."""
    return has_dead_writer(path) and not _is_young(path)


def _is_young(path: Path) -> bool:
    return time.time() - path.lstat().st_mtime < _YOUNG_SECONDS


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]
    return sum(item.stat().st_size for item in files)
