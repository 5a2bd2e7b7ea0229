"""The pilot: fine-tune the last blocks for a few minutes, and see whether it helps.

It trains from cached activations, and is measured on rows that the training lacked: one part of
the training rows, or, by a training for each part, all of them. The trainings share what is cached.
Where the minutes suffice for its plan with all views and steps, two runs on one machine
find the same; trainings, boundary, views and steps depend on how fast it is where they do not.
N is the number of training rows, D the embedding dimension.
"""

from __future__ import annotations

import math
import shutil
import time
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from embedcache.backbones.base import BackboneRequest
from embedcache.decision.pilot_result import Pilot, PilotResult, PilotTask
from embedcache.errors import CacheInvalidError, IdentityMismatchError
from embedcache.extraction.records import Observer, SilentObserver
from embedcache.finetuning.locate import locate
from embedcache.finetuning.tail_plan import FEWEST_STEPS, TailPlan, plan_crossed, plan_tail
from embedcache.heads.forms.linear import Linear
from embedcache.inputs.files import read_regular
from embedcache.inputs.images import decode_rgb
from embedcache.store.cache import FeatureCache
from embedcache.workflows.activations import CachedView, cache_view, view_names
from embedcache.workflows.deadline import Deadline, Watched

if TYPE_CHECKING:
    from embedcache.backbones.architecture import Architecture
    from embedcache.finetuning.recipe import Recipe

__all__ = ["make_pilot"]

_VIEWS = "crop"
"""Crops alone keep what every label means: digits and letters change when they are flipped."""

_MOST_DISK = 4 << 30
_TIMED = 8
"""Images read to see how long that takes."""

_EPOCHS = 20
"""Of each training where there are several, which are for few rows: 100 steps on 160 digits, from
blocks.5.0 of an EfficientNet-Lite0 on, won 7 rows of 200 and lost 1."""

_TRAINING = 0.9
"""Share of the time that is left when the activations are cached; the rest is for measuring."""


def make_pilot(
    features: FeatureCache, *, device: str = "auto", observer: Observer | None = None
) -> Pilot:
    """A pilot on the backbone and the images of a cache.

    Args:
        features: The cache.
        device: Where to compute.
        observer: Hears what it will cost, and how it goes.

    Returns:
        What runs it. It raises:
            BackboneError: Of this architecture the blocks are not known.
            IdentityMismatchError: The backbone is not the one that made the cache any more.
            UsageError: The budget does not suffice, or an image is not where it was.
            CacheInvalidError: The cache does not say how to load its backbone, or an image
                has changed.
    """
    heard = observer or SilentObserver()
    return lambda task: _run(features, task, device, heard)


def _run(features: FeatureCache, task: PilotTask, device: str, observer: Observer) -> PilotResult:
    from embedcache.backbones.blocks import blocks, family
    from embedcache.backbones.load import find_device
    from embedcache.finetuning.classifier import Classifier
    from embedcache.finetuning.cost import measure_step
    from embedcache.finetuning.freezing import Freezing
    from embedcache.finetuning.precision import training_precision
    from embedcache.finetuning.recipe import recipe_for
    from embedcache.finetuning.tail import Tail
    from embedcache.workflows.pilot_training import CachedRows, Trainings

    deadline = Deadline(task.minutes)
    locate(features, task.rows, None)
    architecture, place = _load(features), find_device(device)
    table = features.rows(task.rows)

    def head(held_out: NDArray[np.bool_]) -> Linear:
        return _head(table, task, held_out)

    first = task.divide(1).validated
    # In the layout that it is trained in before it is profiled: another takes twice as long.
    classifier = Classifier(architecture.module, architecture.preprocessing, head(first))
    tower = classifier.eval().to(place).tower
    count, precision = int((~first).sum()), training_precision(place)
    recipe = recipe_for(family(tower), count, seed=task.seed, precision=precision)
    plan = _plan(features, task, count, architecture, recipe, deadline)
    if plan.trainings > 1:
        recipe = replace(recipe, steps=_steps_crossed(recipe, len(task.rows)))
    division, boundary = task.divide(plan.trainings), plan.split.boundary
    observer.note(_told(plan, task))
    watched = Watched(observer, deadline)
    trained = np.full(len(task.rows), True) if plan.trainings > 1 else ~division.validated

    def cached(rows: NDArray[np.bool_], view: str | None) -> CachedView:
        found = cache_view(
            features, task.rows[rows], boundary, view, device=device, observer=watched
        )
        places = np.full(len(rows), -1)
        places[rows] = found.rows
        return CachedView(found.cache, places)

    plain, *augmented = view_names(_VIEWS, plan.views, task.seed)
    before = deadline.left
    cache = CachedRows([cached(np.full(len(trained), True), plain)], plan.split.shape, task.labels)
    image = max((before - deadline.left) / len(task.rows), plan.caching / plan.images)
    names = [block.name for block in blocks(tower)]
    model = Tail(classifier, boundary)
    freezing = Freezing.of(tower, len(names) - names.index(boundary))
    some = cache.batches(trained & (division.part != 0), recipe)
    step = measure_step(model, some, recipe, freezing, workers=0)
    for view in augmented:
        # Training at full length comes first: a view more helps less.
        left = _TRAINING * (deadline.left - int(trained.sum()) * image)
        if left < plan.trainings * recipe.steps * step:
            break
        cache.views.append(cached(trained, view))
    trainings = Trainings(classifier, model, cache, recipe, freezing, observer)
    found = trainings.run(division, head, step, deadline, _TRAINING)
    validated = division.validated & (division.part < found.trainings)
    return PilotResult.of(
        division.frozen[validated],
        found.hits[validated],
        task.group[validated],
        trainings=found.trainings,
        asked=task.enough,
        minutes=deadline.minutes,
        boundary=boundary,
        views=len(cache.views),
        steps=found.steps,
        wanted=recipe.steps,
    )


def _told(plan: TailPlan, task: PilotTask) -> str:
    training = f"{plan.training:.0f} s to train"
    if plan.trainings > 1:
        training += f" {plan.trainings} times, each time without a part of the rows"
    return (
        f"pilot: {_views(plan.views)} at {plan.split.boundary}, {plan.bytes / 1e6:,.0f} MB on "
        f"disk; about {plan.caching:.0f} s to cache, {training}, in {task.minutes:g} min"
    )


def _views(count: int) -> str:
    return f"{count} view{'' if count == 1 else 's'}"


def _load(features: FeatureCache) -> Architecture:
    from embedcache.backbones.load import build_architecture

    try:
        request = BackboneRequest.from_json(features.meta.request)
    except ValueError as error:
        raise CacheInvalidError(
            "this cache does not say how to load its backbone", where=features.path, got=error
        ) from error
    architecture = build_architecture(request)
    if architecture.weights != features.identity.weights:
        raise IdentityMismatchError(
            "the backbone is not the one that made this cache any more",
            where=features.path,
            got=f"weights {architecture.weights[:12]}",
            expected=features.identity.weights[:12],
            hint="embedcache extract makes a new cache for it",
        )
    return architecture


def _head(table: NDArray[np.floating], task: PilotTask, held_out: NDArray[np.bool_]) -> Linear:
    """Fitted without the rows held out, and softer where it would interpolate the others."""
    from embedcache.finetuning.start import starting_head

    return starting_head(table, task.labels, held_out, task.c).head


def _plan(
    features: FeatureCache,
    task: PilotTask,
    count: int,
    architecture: Architecture,
    recipe: Recipe,
    deadline: Deadline,
) -> TailPlan:
    """Of all trainings, or of one on `count` of the rows where the time is too short for them."""
    from embedcache.finetuning.splits import profile

    size, embedding = architecture.preprocessing.image_size, features.identity.precision
    splits = profile(architecture.module, size, embedding, recipe.precision)
    costs: dict[str, Any] = {
        "steps": recipe.steps,
        "batch_size": recipe.batch_size,
        "reading": _reading(features, task.rows[:_TIMED], architecture),
        # Shards and the file that is assembled of them exist together for a moment.
        "disk": min(_MOST_DISK, shutil.disk_usage(features.path.parent).free // 4),
        "seconds": deadline.left,
    }
    *several, _one = task.trainings
    if several:
        shorter = {**costs, "steps": _steps_crossed(recipe, len(task.rows))}
        if plan := plan_crossed(splits, len(task.rows), several, **shorter):
            return plan
    return plan_tail(splits, count, len(task.rows) - count, **costs)


def _steps_crossed(recipe: Recipe, rows: int) -> int:
    """Of each training where there are several, at full length."""
    return min(recipe.steps, max(FEWEST_STEPS, math.ceil(_EPOCHS * rows / recipe.batch_size)))


def _reading(features: FeatureCache, rows: NDArray[np.int64], architecture: Architecture) -> float:
    """Seconds to read, decode and prepare an image."""
    from embedcache.workflows.repair import manifest_of

    manifest = manifest_of(features)
    seconds = []
    for row in rows:
        started = time.perf_counter()
        architecture.preprocessing.apply(decode_rgb(read_regular(manifest.path(int(row)))))
        seconds.append(time.perf_counter() - started)
    return median(seconds)
