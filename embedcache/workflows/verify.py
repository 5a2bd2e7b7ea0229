"""Verify a cache: sums, a sample of rows recomputed from the images, the golden record."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from embedcache.backbones.base import Backbone
from embedcache.backbones.golden_record import TOLERANCES, GoldenRecord, check_golden
from embedcache.errors import DriftError, EmbedcacheError, InputRejectedError
from embedcache.store.cache import FeatureCache
from embedcache.workflows.lost_rows import image_of
from embedcache.workflows.origin import check_identity, source_of
from embedcache.workflows.repair import Repaired, repair

__all__ = ["Repaired", "Verification", "repair", "verify"]

_ROUNDING = {"float16": 1e-3, "float32": 0.0}
"""By stored dtype, relative to the largest feature of a row: twice half a unit in the last
place of float16. What the golden record allows between machines comes on top."""


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
        source = source_of(cache, device, backbone)
        check_identity(cache, source)
        loaded = source.load()
    except EmbedcacheError as error:
        report.notes.append(f"neither rows nor golden record were recomputed: {error.what}")
        return report
    report.golden = _golden(cache, loaded)
    candidates = np.setdiff1d(np.arange(len(cache)), damaged)
    chosen = np.random.default_rng(seed).permutation(candidates)[:rows]
    _recompute(cache, loaded, np.sort(chosen), report)
    return report


def _golden(cache: FeatureCache, backbone: Backbone) -> str:
    if not cache.meta.golden:
        return "not checked"
    try:
        check_golden(backbone, GoldenRecord.from_json(cache.meta.golden))
    except DriftError as error:
        return f"{error.what}: {error.got}"
    except ValueError as error:
        return f"cannot be read: {error}"
    return "reproduced"


def _recompute(
    cache: FeatureCache, backbone: Backbone, rows: np.ndarray[Any, Any], report: Verification
) -> None:
    identity = cache.identity
    tolerance = TOLERANCES[identity.precision] + _ROUNDING[identity.stored_dtype]
    for row in map(int, rows):
        data = image_of(cache, row)
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
