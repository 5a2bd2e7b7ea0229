"""The pilot: fine-tune the last blocks for a few minutes, and see whether it helps.

It trains from cached activations, and is measured on rows that the training lacked: one part of
the training rows, or, by a training for each part, all of them. The trainings share what is cached.
Where the minutes suffice for its plan with all views and steps, two runs on one machine
find the same; trainings, boundary, views and steps depend on how fast it is where they do not.
N is the number of training rows, D the embedding dimension.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embedcache.decision.pilot_result import Pilot, PilotResult, PilotTask
from embedcache.errors import IdentityMismatchError
from embedcache.extraction.records import Observer, SilentObserver
from embedcache.finetuning.locate import locate
from embedcache.finetuning.tail_plan import TailPlan
from embedcache.heads.forms.linear import Linear
from embedcache.store.cache import FeatureCache
from embedcache.workflows.activations import CachedView, cache_view, view_names
from embedcache.workflows.deadline import Deadline, Watched
from embedcache.workflows.origin import request_of
from embedcache.workflows.pilot_plan import TRAINING, fitting, plan_pilot, steps_crossed

if TYPE_CHECKING:
    from embedcache.backbones.architecture import Architecture

__all__ = ["make_pilot"]

_VIEWS = "crop"
"""Crops alone keep what every label means: digits and letters change when they are flipped."""


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
    recipe = recipe_for(
        family(tower), int((~first).sum()), seed=task.seed, precision=training_precision(place)
    )
    plan = plan_pilot(features, task, int(first.sum()), architecture, recipe, deadline)
    boundary, crossed = plan.split.boundary, plan.trainings > 1
    observer.note(_told(plan, task))
    watched = Watched(observer, deadline)
    trained = ~first | crossed

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
    step = measure_step(model, cache.batches(~first, recipe), recipe, freezing, workers=0)
    count, whole = 1, recipe.steps * step / plan.split.share / 60
    if crossed:
        shorter = replace(recipe, steps=steps_crossed(recipe, len(task.rows)))
        count = fitting(task.trainings, shorter, step, deadline)
        recipe = shorter if count > 1 else recipe
    for view in augmented:
        # Training at full length comes first: a view more helps less.
        left = TRAINING * (deadline.left - int(trained.sum()) * image)
        if left < count * recipe.steps * step:
            break
        cache.views.append(cached(trained, view))
    division = task.divide(count)
    trainings = Trainings(classifier, model, cache, recipe, freezing, observer)
    found = trainings.run(division, head, step, deadline, TRAINING)
    validated = division.validated & (division.part < found.trainings)
    return PilotResult.of(
        division.frozen[validated],
        found.hits[validated],
        task.group[validated],
        trainings=found.trainings,
        asked=task.enough,
        minutes=deadline.minutes,
        boundary=boundary,
        share=plan.split.share,
        views=len(cache.views),
        steps=found.steps,
        wanted=recipe.steps,
        whole=whole,
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

    architecture = build_architecture(request_of(features))
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
