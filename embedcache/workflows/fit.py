"""Fit a head on a cache and write its run; load a run's head again."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from embedcache.datasets.options import SourceOptions
from embedcache.heads.artefact import Head
from embedcache.heads.class_weights import NONE, ClassWeight
from embedcache.heads.fit import fit
from embedcache.heads.fitted import Fitted
from embedcache.heads.multilabel.fit import fit_multilabel
from embedcache.heads.names import ZERO_SHOT
from embedcache.heads.zero_shot import Unscored, zero_shot
from embedcache.reports.label_doubts import doubts_csv
from embedcache.runs.folder import CONFIG, LABEL_DOUBTS, PAGE, find_run, publish_run, runs_root
from embedcache.storage.publish import write_atomic
from embedcache.store.cache import FeatureCache
from embedcache.store.catalog import cache_root, choose_cache, slug
from embedcache.workflows.fit_options import (
    check_label_columns,
    check_multilabel,
    check_zero_shot,
    fitting_device,
)
from embedcache.workflows.fitted_run import Run, config_bytes, fitted_before
from embedcache.workflows.near import on_one_side, report_near_duplicates
from embedcache.workflows.openings import count_opening
from embedcache.workflows.page import run_page
from embedcache.workflows.problem import side_by_side
from embedcache.workflows.relabel import relabel
from embedcache.workflows.zero_shot import PROMPTS, name_classes, read_classes

__all__ = ["Run", "fit_head", "load_head"]


_Cache = str | Path | FeatureCache


def fit_head(
    cache: _Cache | Sequence[_Cache] | None = None,
    *,
    model: str = "logreg",
    metric: str = "log_loss",
    seed: int = 0,
    on_conflict: str = "error",
    values: tuple[float, ...] | None = None,
    abstain_precision: float | None = None,
    shots: tuple[int, ...] = (),
    seeds: int = 3,
    class_weight: ClassWeight = NONE,
    keep_duplicates_together: bool = False,
    labels: Path | None = None,
    label_column: str | tuple[str, ...] | None = None,
    label_separator: str | None = None,
    classes: str | Sequence[str] | None = None,
    init: str | None = None,
    prompts: Sequence[str] | None = None,
    weights: Path | None = None,
    device: str = "cpu",
    reuse: bool = False,
    cache_dir: Path | None = None,
    runs_dir: Path | None = None,
    progress: Callable[[str], None] | None = None,
    notify: Callable[[str], None] | None = None,
) -> Run:
    """Fit a head on the cached features and write its run folder.

    Args:
        cache: A cache, or its file; by default the newest one. Of several, each of another
            backbone, the features of the images that all have are put side by side;
            labels, splits and groups are those of the first.
        model: `logreg`, `ridge`, `linear-svm`, `lda`, `ncm`, `knn`, `nystroem`, `mlp`,
            `linear-sgd`, or `auto` for the best of them; or `zero-shot`, which needs an
            open_clip backbone and no labels. Where images have any number of labels, one of
            the first three or `auto`.
        metric: What chooses: `log_loss`, `accuracy` or `balanced_accuracy`.
        seed: Of folds and bootstrap; the same seed gives the same head, bit by bit.
        on_conflict: `error`, or `drop` images whose labels contradict each other.
        values: Exactly these values of the model's parameter (C, alpha, k or epochs)
            instead of the grid that finds its range.
        abstain_precision: Let the head answer only where so many answers are right.
        shots: Rows of each class for a few-shot curve; none for no curve.
        seeds: Draws for each point of the curve.
        class_weight: How much rows of each class count in fit and choice: `none`,
            `balanced` for classes of equal weight together, or weights by class.
        keep_duplicates_together: Never let near duplicates be fitted and judged by one head.
        labels: CSV of ids or paths and labels, to be fitted instead of the cache's own.
        label_column: Of that file: the column of labels; or several, of 0 and 1, each a label.
        label_separator: Of that file: what stands between the names in the column of labels.
        classes: Of zero-shot: names between commas, a file of names, or a sequence of
            names; by default those of the labels.
        init: `zero-shot`: let logreg shrink towards those weights instead of zero.
        prompts: Of zero-shot: templates with `{}` for the name; by default `PROMPTS`.
        weights: Of zero-shot: a local file of the whole model, text tower included.
        device: Where logreg is fitted: `cpu`, `cuda`, `cuda:1`, `auto`. The same seed gives
            the same head on the same device.
        reuse: Give the newest run on the same content, with the same options, by the same
            version, instead of fitting again; not where an option names a file.
        cache_dir: The cache root, where no cache is given.
        runs_dir: Folder of runs; `EMBEDCACHE_RUNS_DIR` or `./runs` if not given.
        progress: Told what is being computed.
        notify: Told what a person should know before anything is fitted.

    Raises:
        UsageError: The caches have no images in common, or their columns twice; or the
            device is not there.
        UnfittableError: No head can be fitted to this data.
        OutOfMemoryError: The device cannot hold the features.
        CacheInvalidError: The cache is damaged.
        StorageError: The run cannot be written.
    """
    only_zero_shot = {"classes": classes, "prompt": prompts, "weights": weights}
    check_zero_shot(model, init, values, shots, abstain_precision, class_weight, only_zero_shot)
    check_label_columns(labels, label_column, label_separator)
    device = fitting_device(model, device)
    caches = _opened(cache or choose_cache(cache_root(cache_dir), "fit-head"))
    options = {
        "model": model,
        "metric": metric,
        "seed": seed,
        "on_conflict": on_conflict,
        "values": values,
        "abstain_precision": abstain_precision,
        "shots": ",".join(map(str, shots)) or None,
        "seeds": seeds if shots else None,
        "class_weight": class_weight if isinstance(class_weight, str) else dict(class_weight),
        "keep_duplicates_together": keep_duplicates_together,
        "labels": None if labels is None else os.path.abspath(labels),
        "label_column": list(label_column) if isinstance(label_column, tuple) else label_column,
        "label_separator": label_separator,
        "classes": classes if classes is None or isinstance(classes, str) else ",".join(classes),
        "init": init,
        "prompt": prompts and list(prompts),
        "weights": None if weights is None else os.path.abspath(weights),
        "device": device,
    }
    if reuse and (done := fitted_before(caches, options, runs_root(runs_dir))):
        return done
    problem, notes = side_by_side(caches)
    problem = replace(problem, device=device)
    root = caches[0].meta.root
    if labels is not None:
        columns = SourceOptions(label_column=label_column, label_separator=label_separator)
        problem, note = relabel(problem, labels, root, columns)
        notes += (note,)
    if problem.is_multilabel:
        check_multilabel(model, metric, init, shots, abstain_precision, class_weight)
    if keep_duplicates_together:
        problem = on_one_side(problem, root)
    fitted: Fitted | Unscored
    if ZERO_SHOT in (model, init) and progress is not None:
        progress("encoding the names of the classes")
    if model == ZERO_SHOT:
        names = tuple(problem.classes) if classes is None else read_classes(classes)
        named = name_classes(caches, names, tuple(prompts or PROMPTS), weights)
        fitted = zero_shot(
            problem,
            named,
            seed=seed,
            on_conflict=on_conflict,
        )
    elif problem.is_multilabel:
        fitted = fit_multilabel(
            problem, model, seed, on_conflict, values, progress=progress, notify=notify
        )
    else:
        if init == ZERO_SHOT:
            named = name_classes(caches, problem.classes, tuple(prompts or PROMPTS), weights)
            problem = replace(problem, prior=named.form.linear.weights)
        fitted = fit(
            problem,
            model,
            metric,
            seed,
            on_conflict,
            values,
            abstain_precision,
            shots,
            seeds,
            class_weight,
            progress=progress,
            notify=notify,
        )
    if model != ZERO_SHOT:
        assert isinstance(fitted, Fitted)
        fitted = report_near_duplicates(problem, root, fitted, together=keep_duplicates_together)
    if ZERO_SHOT in (model, init):
        notes += (f"prompts, averaged: {'; '.join(prompts or PROMPTS)}",)
    if isinstance(fitted, Fitted):
        fitted = replace(fitted, report=replace(fitted.report, notes=notes + fitted.report.notes))
        fitted = count_opening(runs_root(runs_dir), fitted)

    def write(folder: Path) -> None:
        fitted.save(folder)
        if isinstance(fitted, Fitted):
            several = problem.is_multilabel
            write_atomic(folder / LABEL_DOUBTS, doubts_csv(fitted.doubts, several=several))
            write_atomic(folder / PAGE, run_page(caches, problem, fitted, options))
        write_atomic(folder / CONFIG, config_bytes(caches, options))

    backbone = slug(problem.backbone)
    path = publish_run(runs_root(runs_dir), problem.dataset, backbone, fitted.head.model, write)
    return Run(path, fitted.head, fitted.report if isinstance(fitted, Fitted) else None)


def load_head(run: str | os.PathLike[str], runs_dir: Path | None = None) -> Head:
    """The head of a run, by its folder or its name.

    Raises:
        UsageError: There is no such run.
        CacheInvalidError: It is damaged or not a run of embedcache.
    """
    return Head.load(find_run(os.fspath(run), runs_root(runs_dir)))


def _opened(cache: _Cache | Sequence[_Cache]) -> tuple[FeatureCache, ...]:
    given = [cache] if isinstance(cache, (str, Path, FeatureCache)) else cache
    return tuple(each if isinstance(each, FeatureCache) else FeatureCache(each) for each in given)
