"""The pilot: fine-tune the last blocks for a few minutes, and see whether it helps.

It trains from cached activations on training rows, and is measured on validation rows.
T is the number of training rows, V of validation rows, D the embedding dimension.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embedcache.backbones.base import BackboneRequest
from embedcache.decision.pilot_result import Pilot, PilotResult, PilotTask
from embedcache.errors import CacheInvalidError, IdentityMismatchError
from embedcache.extraction.records import Observer, SilentObserver
from embedcache.heads.forms.linear import Linear
from embedcache.heads.models.logreg import softmax_fit
from embedcache.inputs.files import read_regular
from embedcache.inputs.images import decode_rgb
from embedcache.store.cache import FeatureCache
from embedcache.workflows.activations import CachedView, cache_view, view_names

if TYPE_CHECKING:
    from torch import nn

    from embedcache.backbones.architecture import Architecture
    from embedcache.finetuning.activation_batches import Activations
    from embedcache.finetuning.tail_plan import TailPlan

__all__ = ["make_pilot"]

_VIEWS = "crop"
"""Crops alone keep what every label means: digits and letters change when they are flipped."""

_MOST_DISK = 4 << 30
_TIMED = 8
"""Images read to see how long that takes."""


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
            UsageError: The budget does not suffice.
            CacheInvalidError: The cache does not say how to load its backbone, or an image
                has changed.
    """
    heard = observer or SilentObserver()
    return lambda task: _run(features, task, device, heard)


def _run(features: FeatureCache, task: PilotTask, device: str, observer: Observer) -> PilotResult:
    from embedcache.backbones.families import family
    from embedcache.finetuning.activation_batches import ActivationBatches
    from embedcache.finetuning.recipe import recipe_for
    from embedcache.finetuning.tail import Tail, tail_freezing
    from embedcache.finetuning.training import train

    started = time.monotonic()
    architecture = _load(features, device)
    recipe = recipe_for(family(architecture.module), len(task.train), seed=task.seed)
    head = _head(features, task)
    plan = _plan(features, task, architecture, recipe.steps, recipe.batch_size)
    boundary = plan.split.boundary
    observer.note(
        f"pilot: {plan.views} views at {boundary}, {plan.bytes / 1e6:,.0f} MB on disk, about "
        f"{plan.caching:.0f} s to cache and {plan.training:.0f} s to train"
    )
    plain, *augmented = view_names(_VIEWS, plan.views, task.seed)
    both = np.concatenate([task.train, task.validation])
    first = cache_view(features, both, boundary, plain, device=device, observer=observer)
    others = [
        cache_view(features, task.train, boundary, view, device=device, observer=observer)
        for view in augmented
    ]
    count = len(task.train)
    views = [CachedView(first.cache, first.rows[:count]), *others]
    training = _activations(views, plan.split.shape, task.train_labels)
    held_out = [CachedView(first.cache, first.rows[count:])]
    validation = _activations(held_out, plan.split.shape, task.validation_labels)
    tower = architecture.module
    model = Tail(tower, boundary, head).to(next(tower.parameters()).device)
    batches = ActivationBatches(training, recipe.batch_size, task.seed)
    train(model, batches, replace(recipe, steps=plan.steps), tail_freezing(tower, boundary))
    return PilotResult.of(
        task.frozen_hits,
        _hits(model, validation),
        task.group,
        minutes=(time.monotonic() - started) / 60,
        boundary=boundary,
        views=plan.views,
    )


def _load(features: FeatureCache, device: str) -> Architecture:
    from embedcache.backbones.load import build_architecture, find_device

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
    architecture.module.to(find_device(device))
    return architecture


def _head(features: FeatureCache, task: PilotTask) -> Linear:
    """The frozen head, fitted without the validation rows at the C that was chosen."""
    form = softmax_fit(features.rows(task.train), task.train_labels, task.setting["C"]).form
    assert isinstance(form, Linear)
    return form


def _plan(
    features: FeatureCache,
    task: PilotTask,
    architecture: Architecture,
    steps: int,
    batch_size: int,
) -> TailPlan:
    from embedcache.backbones.activations import profile
    from embedcache.finetuning.tail_plan import plan_tail

    return plan_tail(
        profile(architecture.module, architecture.preprocessing.image_size),
        len(task.train),
        len(task.validation),
        steps=steps,
        batch_size=batch_size,
        reading=_reading(features, task.train[:_TIMED], architecture),
        # Shards and the file that is assembled of them exist together for a moment.
        disk=min(_MOST_DISK, shutil.disk_usage(features.path.parent).free // 4),
        seconds=60 * task.minutes,
    )


def _reading(features: FeatureCache, rows: NDArray[np.int64], architecture: Architecture) -> float:
    """Seconds to read, decode and prepare an image."""
    from embedcache.workflows.repair import manifest_of

    manifest = manifest_of(features)
    started = time.perf_counter()
    for row in rows:
        architecture.preprocessing.apply(decode_rgb(read_regular(manifest.path(int(row)))))
    return (time.perf_counter() - started) / len(rows)


def _activations(
    views: list[CachedView], shape: tuple[int, ...], labels: NDArray[np.int32]
) -> Activations:
    from embedcache.finetuning.activation_batches import Activations

    return Activations(
        tuple(view.cache for view in views),
        np.stack([view.rows for view in views]),
        shape,
        labels.astype(np.int64),
        np.ones(len(labels), np.float32),
    )


def _hits(model: nn.Module, rows: Activations) -> NDArray[np.bool_]:
    """Which rows the model has right, (V,) bool, in float32."""
    import torch

    device, found = next(model.parameters()).device, []
    with torch.inference_mode():
        for start in range(0, len(rows), 64):
            some = np.arange(start, min(start + 64, len(rows)))
            inputs = rows.read(some, np.zeros(len(some), np.int64))
            found.append(model(inputs.to(device)).argmax(1).cpu().numpy() == rows.labels[some])
    return np.concatenate(found)
