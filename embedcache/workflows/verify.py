"""Verify a cache: sums, a sample of rows recomputed from the images, the golden record.

With `repair`, rows whose features are damaged are embedded again, and only those.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from embedcache.backbones.base import Backbone, BackboneRequest
from embedcache.datasets.source import reopen
from embedcache.errors import (
    CacheInvalidError,
    DriftError,
    EmbedcacheError,
    IdentityMismatchError,
    InputRejectedError,
)
from embedcache.extraction.extract import extract, index_dir
from embedcache.extraction.records import ExtractOptions, Observer, SilentObserver
from embedcache.extraction.source import BackboneSource
from embedcache.inputs.files import read_regular
from embedcache.records.manifest import Manifest
from embedcache.storage.digests import sha256
from embedcache.store.cache import FeatureCache

__all__ = ["Verification", "repair", "verify"]

_ROW_TOLERANCE = {"float16": 2e-3, "float32": 2e-4}
"""Largest difference to the largest feature of a row, by stored dtype: half a unit in
the last place of float16 is 5e-4 of it, and the golden record allows 1e-4 for float32."""


@dataclass
class Verification:
    """What was checked, and what was wrong.

    Attributes:
        cache: The file.
        rows: Rows in it.
        damaged: Rows whose features fail their sum.
        recomputed: Rows that were embedded again from their images.
        changed: Of the sampled rows, ids whose image is gone or has other bytes now.
        wrong: Of the recomputed rows, ids whose features differ.
        golden: `reproduced`, or why it was not, or why it was not tried.
        notes: What could not be checked.
    """

    cache: Path
    rows: int
    damaged: int = 0
    recomputed: int = 0
    changed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    golden: str = "not checked"
    notes: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether every check that was made has passed."""
        return not self.damaged and not self.wrong and self.golden in ("reproduced", "not checked")

    def to_json(self) -> dict[str, Any]:
        """One flat object, as `--json` prints it."""
        return {**vars(self), "cache": str(self.cache), "sound": self.is_sound}


def verify(
    path: Path,
    *,
    rows: int = 8,
    seed: int = 0,
    device: str = "auto",
    backbone: Backbone | None = None,
) -> Verification:
    """Check a cache as thoroughly as this machine allows.

    Args:
        path: The cache file.
        rows: How many random rows to recompute where their images are there.
        seed: Of the choice of rows.
        device: Where to recompute.
        backbone: A backbone in memory, for caches that were made with one.

    Raises:
        CacheInvalidError: The tables are damaged: nothing in the file can be believed.
    """
    cache = FeatureCache(path)
    damaged = cache.damaged_rows()
    report = Verification(cache.path, len(cache), damaged=len(damaged))
    try:
        source = _source(cache, device, backbone)
        loaded = source.load()
        _check_identity(cache, source)
    except EmbedcacheError as error:
        report.notes.append(f"neither rows nor golden record were recomputed: {error.what}")
        return report
    report.golden = _golden(cache, loaded)
    candidates = np.setdiff1d(np.arange(len(cache)), damaged)
    chosen = np.random.default_rng(seed).permutation(candidates)[:rows]
    _recompute(cache, loaded, np.sort(chosen), report)
    return report


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
        CacheInvalidError: An image of a damaged row is gone or has other bytes now.
        IdentityMismatchError: The backbone is not the one that made the cache any more.
    """
    cache = FeatureCache(path)
    damaged = cache.damaged_rows()
    if not len(damaged):
        return 0
    source = _source(cache, device, backbone)
    _check_identity(cache, source)
    manifest = reopen(cache.meta.source)
    lost = [cache.ids.text(int(row)) for row in damaged if not _is_unchanged(cache, int(row))]
    if lost:
        raise CacheInvalidError(
            f"{len(lost):,} of {len(damaged):,} damaged rows cannot be repaired: "
            "their images are gone or have changed",
            where=path,
            got=", ".join(lost[:3]),
            hint=f"embedcache extract {cache.meta.source.location} drops them and keeps the rest",
        )
    return _extract_again(cache, manifest, source.load(), observer or SilentObserver())


def _extract_again(
    cache: FeatureCache, manifest: Manifest, backbone: Backbone, observer: Observer
) -> int:
    path = cache.path
    result = extract(
        manifest,
        path.parent.name,
        backbone,
        ExtractOptions(cache_dir=path.parent.parent),
        observer,
    )
    return result.embedded


def _source(cache: FeatureCache, device: str, backbone: Backbone | None) -> BackboneSource:
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


def _check_identity(cache: FeatureCache, source: BackboneSource) -> None:
    changes = cache.identity.differences(source.spec.identity)
    if changes:
        raise IdentityMismatchError(
            "the backbone is not the one that made this cache any more",
            where=cache.path,
            got="; ".join(changes),
            hint="embedcache extract makes a new cache for it",
        )


def _golden(cache: FeatureCache, backbone: Backbone) -> str:
    from embedcache.backbones.golden_record import GoldenRecord, check_golden

    if not cache.meta.golden:
        return "not checked"
    try:
        check_golden(backbone, GoldenRecord.from_json(cache.meta.golden))
    except DriftError as error:
        return f"{error.what}: {error.got}"
    except ValueError as error:
        return f"cannot be read: {error}"
    return "reproduced"


def _image(cache: FeatureCache, row: int) -> bytes | None:
    """The bytes that a row was made from, if they are still there."""
    path = os.path.join(os.fsencode(cache.meta.root), cache.ids[row])
    try:
        data = read_regular(path)
    except InputRejectedError:
        return None
    return data if sha256(data) == cache.sha256[row].tobytes() else None


def _is_unchanged(cache: FeatureCache, row: int) -> bool:
    return _image(cache, row) is not None


def _recompute(
    cache: FeatureCache, backbone: Backbone, rows: np.ndarray[Any, Any], report: Verification
) -> None:
    tolerance = _ROW_TOLERANCE[cache.identity.stored_dtype]
    for row in map(int, rows):
        data = _image(cache, row)
        if data is None:
            report.changed.append(cache.ids.text(row))
            continue
        report.recomputed += 1
        try:
            fresh = backbone.submit(backbone.prepare(data)[None]).result()[0]
        except InputRejectedError:  # whoever wrote the row could decode these bytes
            report.wrong.append(cache.ids.text(row))
            continue
        stored = cache.rows(np.array([row]))[0].astype(np.float32)
        largest = max(np.abs(fresh).max(), 1e-6)
        if not np.abs(fresh - stored).max() <= tolerance * largest:  # NaN is wrong too
            report.wrong.append(cache.ids.text(row))
