"""What lies under the cache root and the runs folder, and what of it nothing refers to."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from embedcache.errors import EmbedcacheError
from embedcache.heads.artefact import Head
from embedcache.runs.folder import list_runs
from embedcache.storage.publish import TEMPORARY_MARK, is_temporary
from embedcache.store.cache import FeatureCache
from embedcache.store.catalog import find_caches

__all__ = ["CacheEntry", "Leftover", "RunEntry", "caches", "delete", "leftovers", "runs"]

_YOUNG_SECONDS = 3600
"""A temporary file that was touched within the hour may belong to a process elsewhere."""


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
        state: `ok`, or what is stale, unfinished or wrong.
    """

    path: Path
    backbone: str
    rows: int
    dim: int
    bytes: int
    source: str
    state: str

    def to_json(self) -> dict[str, Any]:
        """One flat object."""
        return {**asdict(self), "path": str(self.path)}


@dataclass(frozen=True)
class RunEntry:
    """One run folder, by what it was fitted on."""

    path: Path
    model: str
    backbone: str
    identity: str
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
            entries.append(CacheEntry(path, "", 0, 0, _size(work), "", "unfinished: extract again"))
    return entries


def _cache_entry(path: Path) -> CacheEntry:
    size = path.stat().st_size
    try:
        cache = FeatureCache(path)
    except EmbedcacheError as error:
        return CacheEntry(path, "", 0, 0, size, "", f"invalid: {error.what}")
    source = cache.meta.source.location
    state = "ok"
    if not os.path.exists(source):
        state = "source is gone"
    elif path.with_name(f".{path.stem}.work").exists():
        state = "unfinished update: extract again"
    return CacheEntry(path, cache.meta.backbone.name, len(cache), cache.dim, size, source, state)


def runs(root: Path) -> list[RunEntry]:
    """Every run in the runs folder."""
    entries = []
    for path in list_runs(root):
        try:
            head = Head.load(path)
        except EmbedcacheError as error:
            entries.append(RunEntry(path, "", "", "", f"invalid: {error.what}"))
        else:
            entries.append(RunEntry(path, head.model, head.backbone, head.identity.digest, "ok"))
    return entries


def leftovers(cache_root: Path, runs_root: Path) -> list[Leftover]:
    """What can go: abandoned temporary files, finished work, caches without source or run."""
    found = [
        Leftover(path, _size(path), "temporary, its writer is gone")
        for folder in (cache_root, runs_root)
        for path in sorted(folder.rglob(f".*{TEMPORARY_MARK}*"))
        if is_temporary(path) and _is_abandoned(path)
    ]
    work_folders = [*cache_root.glob("*/.*.work"), *cache_root.glob("*/.*.overwrite")]
    found += [
        Leftover(work, _size(work), "shards of images that are gone")
        for work in sorted(work_folders)
        if not (work / "plan.json").exists()
    ]
    used = {run.identity for run in runs(runs_root)}
    for path in find_caches(cache_root):
        try:
            cache = FeatureCache(path)
        except EmbedcacheError:
            continue
        if cache.identity.digest not in used and not os.path.exists(cache.meta.source.location):
            reason = "its source is gone and no run refers to its backbone"
            found.append(Leftover(path, path.stat().st_size, reason))
    return found


def delete(leftover: Leftover) -> None:
    """Delete one leftover."""
    if leftover.path.is_dir() and not leftover.path.is_symlink():
        shutil.rmtree(leftover.path)
    else:
        leftover.path.unlink(missing_ok=True)


def _is_abandoned(path: Path) -> bool:
    """Whether the process that made a temporary file is surely gone."""
    pid = path.name.rpartition(TEMPORARY_MARK)[2].partition("-")[0]
    if time.time() - path.lstat().st_mtime < _YOUNG_SECONDS:
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (ValueError, PermissionError):
        return False
    return False


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]
    return sum(item.stat().st_size for item in files)
