"""What is trained, and on what: the classifier on images, or its tail on cached activations.

N is the number of training rows, V of views.
"""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from torch import nn

from embedcache.errors import UsageError
from embedcache.extraction.loading import default_workers
from embedcache.extraction.records import NotesOnly, Observer
from embedcache.finetuning.activation_batches import ActivationBatches, Activations
from embedcache.finetuning.augment_names import NO_AUGMENTATION
from embedcache.finetuning.batches import Batches
from embedcache.finetuning.cost import Cost
from embedcache.finetuning.freezing import Freezing
from embedcache.finetuning.images import ImageBatches
from embedcache.finetuning.parts import TAIL
from embedcache.finetuning.recipe import Recipe
from embedcache.finetuning.record import CachedTail
from embedcache.finetuning.splits import profile, tails
from embedcache.finetuning.tail import Tail
from embedcache.finetuning.tail_plan import VIEWS, plan_tail
from embedcache.heads.json_records import dump_record
from embedcache.storage.publish import human_bytes, write_atomic
from embedcache.workflows.activations import cache_view, view_names
from embedcache.workflows.deadline import Deadline, Watched
from embedcache.workflows.finetune_options import FinetuneOptions
from embedcache.workflows.tuning_material import Material
from embedcache.workflows.tuning_state import load_state

__all__ = ["Course", "Told", "set_course"]

_TIMED = 8
"""Images read to see how long that takes."""


@dataclass(frozen=True, eq=False)
class Course:
    """A model and its training rows.

    Attributes:
        model: Shares its parameters with the classifier, under the same names.
        freezing: Which of them move.
        batches: The rows, as a recipe asks for them.
        workers: Processes that prepare batches.
        tail: What is cached; None where the images are read.
    """

    model: nn.Module
    freezing: Freezing
    batches: Callable[[Recipe], Batches]
    workers: int
    tail: CachedTail | None = None


class Told(NotesOnly):
    """Hears of cached images as of training steps.

    Args:
        notify: Told each sentence.
        on_step: Told how many are done, of how many.
    """

    def __init__(
        self, notify: Callable[[str], None], on_step: Callable[[int, int], None] | None
    ) -> None:
        super().__init__(notify)
        self._on_step = on_step

    def progress(self, done: int, total: int) -> None:
        """Pass it on."""
        if self._on_step is not None:
            self._on_step(done, total)


def set_course(
    material: Material,
    options: FinetuneOptions,
    recipe: Recipe,
    cost: Cost,
    work: Path,
    workers: int,
    observer: Observer,
) -> Course:
    """What `--unfreeze` asks for; of the tail the activations are cached now.

    Where the tail begins is settled once and kept in the folder of the unfinished training.

    Args:
        material: The model and the rows.
        options: What was asked for.
        recipe: As long as it wants to be.
        cost: Of all that is no step.
        work: That folder.
        workers: Processes that prepare images.
        observer: Hears what it costs, before anything is cached, and how that goes.

    Raises:
        UsageError: Disk or budget do not suffice, or images have other names now.
        CacheInvalidError: An image has changed, or the folder's state is damaged.
        StorageError: The disk is full.
    """
    if options.unfreeze == TAIL:
        if options.budget is not None:
            observer = Watched(observer, Deadline(options.budget))
        _check_names(material, options.source)
        tail = _settled(material, options, recipe, cost, work, observer)
        return _on_activations(material, options, tail, observer)
    assert material.trained is not None
    return Course(
        material.classifier,
        Freezing.of(material.classifier.tower, material.trained),
        lambda recipe: ImageBatches(
            material.train, recipe.batch_size, recipe.seed, options.augment
        ),
        workers,
    )


def _on_activations(
    material: Material, options: FinetuneOptions, tail: CachedTail, observer: Observer
) -> Course:
    """The tail, and what its first block takes, cached."""
    views = [
        cache_view(
            material.features,
            material.train_rows,
            tail.boundary,
            view,
            root=options.source,
            device=options.device,
            observer=observer,
        )
        for view in view_names(options.augment, tail.views, options.seed)
    ]
    images, rows = material.train, np.stack([view.rows for view in views])
    caches = tuple(view.cache for view in views)
    table = Activations(caches, rows, tail.shape, images.labels, images.weights)
    trained = len(material.blocks) - material.blocks.index(tail.boundary)
    return Course(
        Tail(material.classifier, tail.boundary),
        Freezing.of(material.classifier.tower, trained),
        lambda recipe: ActivationBatches(table, recipe.batch_size, recipe.seed),
        0,  # reading a batch takes a hundredth of a step, copying it from another process more
        tail,
    )


def _check_names(material: Material, source: Path | None) -> None:
    """Refuse moved images that are not found by their names: those are their ids in a cache."""
    if source is None:
        return
    root = os.fsencode(os.path.abspath(source))
    for path, row in zip(material.train.paths, material.train_rows, strict=True):
        if path != os.path.join(root, material.features.ids[int(row)]):
            raise UsageError(
                "activations are cached of images that have the names that they were embedded by",
                where=source,
                got=os.fsdecode(path),
                expected=material.features.ids.text(int(row)),
                hint="--unfreeze last-N trains from the images, whatever their names are",
            )


def _settled(
    material: Material,
    options: FinetuneOptions,
    recipe: Recipe,
    cost: Cost,
    work: Path,
    observer: Observer,
) -> CachedTail:
    """What an earlier run settled, else what budget and disk allow."""
    path = work / "tail.json"
    if path.exists():
        return load_state(CachedTail, path)
    splits = profile(
        material.classifier.tower,
        material.train.preprocessing.image_size,
        material.precision,
        recipe.precision,
    )
    if material.trained is None:
        splits = tails(splits)
    else:
        boundary = material.blocks[-material.trained]
        splits = tuple(split for split in splits if split.boundary == boundary)
    folder = material.features.path.parent
    plan = plan_tail(
        splits,
        len(material.train),
        0,
        views=_views(options),
        steps=round(recipe.steps * (1 + cost.trials / 4)),
        batch_size=recipe.batch_size,
        reading=_reading(material) / default_workers(),  # as many threads read
        # A view's shards and the file that is assembled of them exist together for a moment.
        disk=shutil.disk_usage(folder).free // 2,
        seconds=_left(options.budget, cost),
    )
    tail = CachedTail(plan.split.boundary, plan.split.shape, plan.views, plan.bytes)
    views = f"{plan.views} view{'s' if plan.views > 1 else ''} of {len(material.train):,} images"
    observer.note(
        f"tail: {views} at {tail.boundary}, {human_bytes(tail.bytes)} on disk; about "
        f"{plan.caching / 60:.1f} minutes to cache, {plan.training / 60:.1f} to train"
    )
    write_atomic(path, dump_record(tail))
    return tail


def _left(budget: float | None, cost: Cost) -> float:
    """Seconds for caching and steps, of a budget in minutes."""
    return math.inf if budget is None else max(0.0, 60 * budget - cost.seconds(0))


def _views(options: FinetuneOptions) -> tuple[int, ...]:
    if options.views is not None:
        return (options.views,)
    return (1,) if options.augment == NO_AUGMENTATION else VIEWS


def _reading(material: Material) -> float:
    """Seconds to read, decode and prepare an image."""
    seconds = []
    for row in range(min(_TIMED, len(material.train))):
        started = time.perf_counter()
        material.train.image(row)
        seconds.append(time.perf_counter() - started)
    return median(seconds)
