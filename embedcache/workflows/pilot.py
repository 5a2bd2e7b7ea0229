"""The pilot: fine-tune the last blocks for a few minutes, and see whether it helps.

It trains from cached activations on training rows, and is measured on validation rows.
Where the minutes suffice for its plan with all views and steps, two runs on one machine
find the same; boundary, views and steps depend on how fast it is where they do not.
T is the number of training rows, V of validation rows, D the embedding dimension.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embedcache.backbones.base import BackboneRequest
from embedcache.decision.pilot_result import Pilot, PilotResult, PilotTask
from embedcache.errors import CacheInvalidError, IdentityMismatchError
from embedcache.extraction.records import Observer, SilentObserver
from embedcache.finetuning.locate import locate
from embedcache.finetuning.tail_plan import TailPlan, plan_tail, steps_within
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
    from embedcache.finetuning.activation_batches import ActivationBatches
    from embedcache.finetuning.classifier import Classifier
    from embedcache.finetuning.cost import measure_step
    from embedcache.finetuning.freezing import Freezing
    from embedcache.finetuning.precision import training_precision
    from embedcache.finetuning.recipe import recipe_for
    from embedcache.finetuning.tail import Tail
    from embedcache.workflows.pilot_training import activations_of, hits, train_within

    deadline, count = Deadline(task.minutes), len(task.train)
    both = np.concatenate([task.train, task.validation])
    locate(features, both, None)
    architecture, place = _load(features), find_device(device)
    # In the layout that it is trained in before it is profiled: another takes twice as long.
    head = _head(features, task, both)
    classifier = Classifier(architecture.module, architecture.preprocessing, head)
    tower = classifier.eval().to(place).tower
    recipe = recipe_for(family(tower), count, seed=task.seed, precision=training_precision(place))
    plan = _plan(features, task, architecture, recipe, deadline)
    boundary, shape = plan.split.boundary, plan.split.shape
    observer.note(
        f"pilot: {_views(plan.views)} at {boundary}, {plan.bytes / 1e6:,.0f} MB on disk; about "
        f"{plan.caching:.0f} s to cache, {plan.training:.0f} s to train, in {task.minutes:g} min"
    )
    watched = Watched(observer, deadline)

    def cached(rows: NDArray[np.int64], view: str | None) -> CachedView:
        return cache_view(features, rows, boundary, view, device=device, observer=watched)

    def batches_of(views: list[CachedView]) -> ActivationBatches:
        table = activations_of(views, shape, task.train_labels)
        return ActivationBatches(table, recipe.batch_size, task.seed)

    plain, *augmented = view_names(_VIEWS, plan.views, task.seed)
    before = deadline.left
    first = cached(both, plain)
    views = [CachedView(first.cache, first.rows[:count])]
    image = max((before - deadline.left) / len(both), plan.caching / plan.images)
    names = [block.name for block in blocks(tower)]
    model = Tail(classifier, boundary)
    freezing = Freezing.of(tower, len(names) - names.index(boundary))
    step = measure_step(model, batches_of(views), recipe, freezing, workers=0)
    for view in augmented:
        # Training at full length comes first: a view more helps less.
        if _TRAINING * (deadline.left - count * image) < recipe.steps * step:
            break
        views.append(cached(task.train, view))
    planned = steps_within(_TRAINING * deadline.left, step, recipe.steps)
    observer.note(f"pilot: {planned} steps of {1000 * step:.0f} ms on {_views(len(views))}")
    shortened = replace(recipe, steps=planned)
    steps = train_within(model, batches_of(views), shortened, freezing, deadline, observer)
    held_out = [CachedView(first.cache, first.rows[count:])]
    return PilotResult.of(
        task.frozen_hits,
        hits(model, activations_of(held_out, shape, task.validation_labels)),
        task.group,
        minutes=deadline.minutes,
        boundary=boundary,
        views=len(views),
        steps=steps,
        wanted=recipe.steps,
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


def _head(features: FeatureCache, task: PilotTask, both: NDArray[np.int64]) -> Linear:
    """Fitted without the validation rows, and softer where it would interpolate the others."""
    from embedcache.finetuning.start import starting_head

    labels = np.concatenate([task.train_labels, task.validation_labels])
    is_validation = np.arange(len(both)) >= len(task.train)
    return starting_head(features.rows(both), labels, is_validation, task.c).head


def _plan(
    features: FeatureCache,
    task: PilotTask,
    architecture: Architecture,
    recipe: Recipe,
    deadline: Deadline,
) -> TailPlan:
    from embedcache.finetuning.splits import profile

    size, embedding = architecture.preprocessing.image_size, features.identity.precision
    return plan_tail(
        profile(architecture.module, size, embedding, recipe.precision),
        len(task.train),
        len(task.validation),
        steps=recipe.steps,
        batch_size=recipe.batch_size,
        reading=_reading(features, task.train[:_TIMED], architecture),
        # Shards and the file that is assembled of them exist together for a moment.
        disk=min(_MOST_DISK, shutil.disk_usage(features.path.parent).free // 4),
        seconds=deadline.left,
    )


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
