"""The rows of a run that a backbone may be trained on: never those that judge it.

N is the number of these rows, K the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import CacheInvalidError, EmbedcacheError, UnfittableError, UsageError
from embedcache.evaluation.splits import SIDE_FOLD, SIDE_TRAIN
from embedcache.heads.artefact import Head
from embedcache.heads.prepare import touched_rows
from embedcache.heads.rows import RunRows
from embedcache.records.json_text import parse_json
from embedcache.records.seen import UNSEEN
from embedcache.runs.files import read_regular
from embedcache.runs.folder import CONFIG
from embedcache.store.cache import FeatureCache
from embedcache.store.catalog import caches_of_identity

__all__ = ["TuningRows", "touched_in", "tuning_rows"]

_LARGEST_CONFIG = 16 << 20


@dataclass(frozen=True, eq=False)
class TuningRows:
    """Training rows of a run, in its cache.

    Attributes:
        run: The run's folder.
        head: Its head.
        cache: A cache of the head's identity that has the rows.
        rows: (N,) int64 rows of the cache, all of the training side.
        labels: (N,) int64 positions in `head.classes`: the run's labels, not the cache's.
        missing: Training rows of the run that the cache does not have any more.
        touched: (N,) bool, rows that the backbone was tuned with before, or that belong to a
            group of which it has seen a row: they may train it again, and judge nothing.
    """

    run: Path
    head: Head
    cache: FeatureCache
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    missing: int
    touched: NDArray[np.bool_]


def tuning_rows(run: Path, root: Path) -> TuningRows:
    """Join a run's training rows to their cache, by digest.

    Args:
        run: The run's folder.
        root: The cache root.

    Raises:
        UsageError: A run that cannot be fine-tuned, or whose cache is gone.
        UnfittableError: A class has no rows left.
        CacheInvalidError: A file is damaged.
    """
    head = Head.load(run)
    if len(head.sources) > 1:
        raise UsageError(
            "one backbone can be fine-tuned, not several at once",
            where=run,
            got=head.backbone,
            hint="fit a head on one of the caches: embedcache fit-head CACHE",
        )
    cache = _cache_of(run, head, root)
    if cache.y.ndim != 1:
        raise UsageError(
            "fine-tuning takes one label for each image so far",
            where=cache.path,
            got="several labels for each image",
        )
    known = RunRows.load(run)
    mine = (known.side == SIDE_TRAIN) | (known.side >= SIDE_FOLD)
    mine &= (known.label >= 0) & (known.label < len(head.classes))
    position = {digest.tobytes(): row for row, digest in enumerate(cache.sha256)}
    found = [position.get(digest.tobytes(), -1) for digest in known.digest[mine]]
    rows = np.array(found, np.int64)
    labels = known.label[mine].astype(np.int64)[rows >= 0]
    present = np.unique(labels)
    if len(present) < len(head.classes):
        lost = sorted(set(range(len(head.classes))) - set(present.tolist()))
        raise UnfittableError(
            "a class has no training row to fine-tune on",
            where=run,
            got=", ".join(head.classes[label] for label in lost[:5]),
            hint="fit the head again on the cache as it is: embedcache fit-head",
        )
    missing, rows = int((rows < 0).sum()), rows[rows >= 0]
    return TuningRows(run, head, cache, rows, labels, missing, touched_in(cache)[rows])


def touched_in(cache: FeatureCache) -> NDArray[np.bool_]:
    """Rows of a cache that may judge nothing, (N,) bool: see `TuningRows.touched`."""
    return touched_rows(cache.seen != UNSEEN, cache.tables.group)


def _cache_of(run: Path, head: Head, root: Path) -> FeatureCache:
    """The cache that the run was fitted on, else another of the same identity and data set."""
    (source,) = head.sources
    try:
        (path,) = parse_json(read_regular(run / CONFIG, _LARGEST_CONFIG))["caches"]
        candidates = [Path(path)]
    except (ValueError, KeyError, TypeError) as error:
        raise CacheInvalidError(
            "this run does not name its cache", where=run / CONFIG, got=error
        ) from error
    others = caches_of_identity(root, source.identity)
    candidates += [each for each in others if each.parent.name == head.dataset]
    for candidate in candidates:
        try:
            cache = FeatureCache(candidate)
        except EmbedcacheError:
            continue
        if cache.identity == source.identity:
            return cache
    raise UsageError(
        "the cache of this run is gone",
        where=run,
        got=f"no sound {candidates[0]}",
        hint="embedcache extract SOURCE makes it again; --cache-dir points to another root",
    )
