"""Compare runs by their names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from embedcache.heads.comparison import Comparison, compare_runs
from embedcache.runs.folder import find_run, runs_root

__all__ = ["compare"]


def compare(
    runs: Sequence[str | os.PathLike[str]],
    *,
    metric: str | None = None,
    seed: int = 0,
    runs_dir: Path | None = None,
) -> Comparison:
    """Rank runs on the rows that all of them judged, and compare them in pairs.

    Heads of several backbones over one data set are joined by the digests of the
    images, so this ranks backbones as well.

    Args:
        runs: Names or folders, two or more.
        metric: What ranks: `accuracy` or `log_loss`; by default accuracy, or log-loss where
            images have any number of labels.
        seed: Of the bootstrap.
        runs_dir: Folder of runs; `EMBEDCACHE_RUNS_DIR` or `./runs` if not given.

    Raises:
        UsageError: There is no such run, or they have no judged rows in common.
        CacheInvalidError: A run is damaged.
    """
    root = runs_root(runs_dir)
    return compare_runs([find_run(os.fspath(run), root) for run in runs], metric=metric, seed=seed)
