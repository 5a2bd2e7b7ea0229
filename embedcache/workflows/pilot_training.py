"""The training of a pilot: cached views to batches, steps until the time is over, answers.

T is the number of training rows, V of validation rows.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from embedcache.extraction.records import Observer
from embedcache.finetuning.activation_batches import ActivationBatches, Activations
from embedcache.finetuning.curve import Progress
from embedcache.finetuning.freezing import Freezing
from embedcache.finetuning.recipe import Recipe
from embedcache.finetuning.training import train
from embedcache.workflows.activations import CachedView
from embedcache.workflows.deadline import Deadline

__all__ = ["activations_of", "hits", "train_within"]

_AT_ONCE = 64


def activations_of(
    views: list[CachedView], shape: tuple[int, ...], labels: NDArray[np.int32]
) -> Activations:
    """Rows of equal weight; each view has all of them, in the order of `labels`."""
    return Activations(
        tuple(view.cache for view in views),
        np.stack([view.rows for view in views]),
        shape,
        labels.astype(np.int64),
        np.ones(len(labels), np.float32),
    )


def train_within(
    model: nn.Module,
    batches: ActivationBatches,
    recipe: Recipe,
    freezing: Freezing,
    deadline: Deadline,
    observer: Observer,
) -> int:
    """Train until the steps or the minutes are over, and give the steps taken.

    Args:
        model: A `Tail`; it is left with the weights it has then.
        batches: The T training rows.
        recipe: With the steps that the time should suffice for.
        freezing: Which parameters move.
        deadline: Of the pilot.
        observer: Hears of steps.

    Raises:
        DivergedError: The loss is no number any more.
    """
    taken = 0

    def on_step(progress: Progress) -> None:
        nonlocal taken
        taken = progress.step
        observer.progress(taken, recipe.steps)
        if taken < recipe.steps and deadline.left <= 0:
            raise _TimeIsUpError

    try:
        train(model, batches, recipe, freezing, on_step=on_step)
    except _TimeIsUpError:
        model.eval()
    return taken


class _TimeIsUpError(Exception):
    """Ends a training whose steps became slower than those that were timed."""


def hits(model: nn.Module, rows: Activations) -> NDArray[np.bool_]:
    """Which rows the model has right, (V,) bool, in float32."""
    device, found = next(model.parameters()).device, []
    with torch.inference_mode():
        for start in range(0, len(rows), _AT_ONCE):
            some = np.arange(start, min(start + _AT_ONCE, len(rows)))
            inputs = rows.read(some, np.zeros(len(some), np.int64))
            found.append(model(inputs.to(device)).argmax(1).cpu().numpy() == rows.labels[some])
    return np.concatenate(found)
