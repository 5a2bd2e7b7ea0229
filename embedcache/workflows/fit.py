"""Fit a head on a cache and write its run; load a run's head again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from embedcache.extraction.golden import GoldenClaim
from embedcache.heads.artefact import Head
from embedcache.heads.fit import fit
from embedcache.heads.problem import Problem
from embedcache.heads.report import FitReport
from embedcache.runs.folder import CONFIG, PAGE, find_run, publish_run, runs_root
from embedcache.storage.publish import write_atomic
from embedcache.store.cache import FeatureCache
from embedcache.store.catalog import cache_root, choose_cache, slug
from embedcache.workflows.near import on_one_side, report_near_duplicates
from embedcache.workflows.openings import count_opening
from embedcache.workflows.page import run_page
from embedcache.workflows.relabel import relabel

__all__ = ["Run", "fit_head", "load_head", "problem_of"]


@dataclass(frozen=True, eq=False)
class Run:
    """A fitted head on disk.

    Attributes:
        path: The run's folder.
        head: The head.
        report: How it was chosen and how good it is.
    """

    path: Path
    head: Head
    report: FitReport


def fit_head(
    cache: str | Path | FeatureCache | None = None,
    *,
    model: str = "logreg",
    metric: str = "log_loss",
    seed: int = 0,
    on_conflict: str = "error",
    values: tuple[float, ...] | None = None,
    abstain_precision: float | None = None,
    keep_duplicates_together: bool = False,
    labels: Path | None = None,
    cache_dir: Path | None = None,
    runs_dir: Path | None = None,
    progress: Callable[[str], None] | None = None,
    notify: Callable[[str], None] | None = None,
) -> Run:
    """Fit a head on the cached features and write its run folder.

    Args:
        cache: A cache, or its file; by default the newest one.
        model: `logreg`, `ridge`, `linear-svm`, `lda`, `ncm`, `knn`, `nystroem`, `mlp`,
            `linear-sgd`, or `auto` for the best of them.
        metric: What chooses: `log_loss`, `accuracy` or `balanced_accuracy`.
        seed: Of folds and bootstrap; the same seed gives the same head, bit by bit.
        on_conflict: `error`, or `drop` images whose labels contradict each other.
        values: Exactly these values of the model's parameter (C, alpha, k or epochs)
            instead of the grid that finds its range.
        abstain_precision: Find the threshold above which answers are so often right.
        keep_duplicates_together: Never let near duplicates be fitted and judged by one head.
        labels: CSV of ids or paths and labels, to be fitted instead of the cache's own.
        cache_dir: The cache root, where no cache is given.
        runs_dir: Folder of runs; `EMBEDCACHE_RUNS_DIR` or `./runs` if not given.
        progress: Told what is being computed.
        notify: Told what a person should know before anything is fitted.

    Raises:
        UnfittableError: No head can be fitted to this data.
        CacheInvalidError: The cache is damaged.
        StorageError: The run cannot be written.
    """
    if not isinstance(cache, FeatureCache):
        cache = FeatureCache(cache or choose_cache(cache_root(cache_dir), "fit-head"))
    problem = problem_of(cache)
    notes: tuple[str, ...] = ()
    if labels is not None:
        problem, note = relabel(cache, problem, labels)
        notes = (note,)
    if keep_duplicates_together:
        problem = on_one_side(cache, problem)
    fitted = fit(
        problem,
        model,
        metric,
        seed,
        on_conflict,
        values,
        abstain_precision,
        progress=progress,
        notify=notify,
    )
    fitted = report_near_duplicates(cache, fitted, together=keep_duplicates_together)
    fitted = replace(fitted, report=replace(fitted.report, notes=notes + fitted.report.notes))
    fitted = count_opening(runs_root(runs_dir), fitted)
    options = {
        "model": model,
        "metric": metric,
        "seed": seed,
        "on_conflict": on_conflict,
        "values": values,
        "abstain_precision": abstain_precision,
        "keep_duplicates_together": keep_duplicates_together,
        "labels": None if labels is None else os.path.abspath(labels),
    }
    config = {
        "cache": str(cache.path),
        "fit": options,
        "backbone": {"request": cache.meta.request, "golden": GoldenClaim.of(cache).to_json()},
    }

    def write(folder: Path) -> None:
        fitted.save(folder)
        write_atomic(folder / PAGE, run_page(cache, fitted, options))
        write_atomic(folder / CONFIG, json.dumps(config, indent=1).encode())

    backbone = slug(problem.backbone)
    path = publish_run(runs_root(runs_dir), problem.dataset, backbone, fitted.head.model, write)
    return Run(path, fitted.head, fitted.report)


def load_head(run: str | os.PathLike[str], runs_dir: Path | None = None) -> Head:
    """The head of a run, by its folder or its name.

    Raises:
        UsageError: There is no such run.
        CacheInvalidError: It is damaged or not a run of embedcache.
    """
    return Head.load(find_run(os.fspath(run), runs_root(runs_dir)))


def problem_of(cache: FeatureCache) -> Problem:
    """A cache's features and labels, as heads see them."""
    tables: Any = cache.tables
    return Problem(
        features=cache.X,
        labels=tables.labels,
        classes=cache.classes,
        digests=tables.sha256,
        ids=tables.ids,
        split=tables.split,
        group=tables.group,
        groups=tables.groups,
        identity=cache.identity,
        backbone=cache.meta.backbone.name,
        content_digest=cache.content_digest,
        dataset=cache.path.parent.name,
    )
