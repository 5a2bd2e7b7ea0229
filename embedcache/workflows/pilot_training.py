"""The trainings of a pilot: cached views to batches, steps until the time is over, answers.

N is the number of rows, V of those that a training is measured on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from embedcache.decision.pilot_result import Division
from embedcache.errors import BudgetError
from embedcache.extraction.records import Observer
from embedcache.finetuning.activation_batches import ActivationBatches, Activations
from embedcache.finetuning.classifier import Classifier
from embedcache.finetuning.curve import Progress
from embedcache.finetuning.freezing import Freezing
from embedcache.finetuning.rates import restore
from embedcache.finetuning.recipe import Recipe
from embedcache.finetuning.tail import Tail
from embedcache.finetuning.tail_plan import steps_within
from embedcache.finetuning.training import train
from embedcache.heads.forms.linear import Linear
from embedcache.workflows.activations import CachedView
from embedcache.workflows.deadline import Deadline

__all__ = ["CachedRows", "Found", "Trainings"]

_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class CachedRows:
    """What all trainings share: rows of equal weight in several views.

    Attributes:
        views: The plain one first; `rows` of each are (N,), −1 where a view lacks a row.
        shape: Of one activation.
        labels: (N,) int32.
    """

    views: list[CachedView]
    shape: tuple[int, ...]
    labels: NDArray[np.int32]

    def batches(self, which: NDArray[np.bool_], recipe: Recipe) -> ActivationBatches:
        """Some rows in all views, to train on."""
        return ActivationBatches(self._take(which, self.views), recipe.batch_size, recipe.seed)

    def plain(self, which: NDArray[np.bool_]) -> Activations:
        """Some rows as they are, (V,)."""
        return self._take(which, self.views[:1])

    def _take(self, which: NDArray[np.bool_], views: list[CachedView]) -> Activations:
        return Activations(
            tuple(view.cache for view in views),
            np.stack([view.rows[which] for view in views]),
            self.shape,
            self.labels[which].astype(np.int64),
            np.ones(int(which.sum()), np.float32),
        )


@dataclass(frozen=True, eq=False)
class Found:
    """What came of the trainings that there was time for.

    Attributes:
        hits: (N,) bool, which rows their training has right, of the parts that were validated.
        trainings: Number of these parts, from the first on.
        steps: Of the shortest training.
    """

    hits: NDArray[np.bool_]
    trainings: int
    steps: int


@dataclass(frozen=True, eq=False)
class Trainings:
    """One after the other, each from the same weights.

    Attributes:
        classifier: As it is before the first step of each.
        model: Its `Tail`.
        rows: What all of them share.
        recipe: Of each, at full length.
        freezing: Which parameters move.
        observer: Hears of steps.
    """

    classifier: Classifier
    model: Tail
    rows: CachedRows
    recipe: Recipe
    freezing: Freezing
    observer: Observer

    def run(
        self,
        division: Division,
        head: Callable[[NDArray[np.bool_]], Linear],
        step: float,
        deadline: Deadline,
        share: float,
    ) -> Found:
        """Train without each part, and answer it.

        Args:
            division: The parts.
            head: Fitted without the rows given, (N,) bool.
            step: Seconds of one, as measured.
            deadline: Of all.
            share: Of the time that is left, for training.

        Raises:
            BudgetError: Not even the first one has steps enough to say anything.
            DivergedError: A loss is no number any more.
        """
        initial = {name: each.detach().clone() for name, each in self.classifier.named_parameters()}
        hits, fewest = np.zeros(len(division.part), np.bool_), self.recipe.steps
        count = division.trainings
        for part in range(count):
            held_out = division.part == part
            try:
                seconds = share * deadline.left / (count - part)
                planned = steps_within(seconds, step, self.recipe.steps)
            except BudgetError:
                if part:
                    return Found(hits, part, fewest)
                raise
            self.observer.note(self._told(part, count, planned, step))
            restore(self.classifier, initial)
            self.classifier.set_head(head(held_out))
            recipe = replace(self.recipe, steps=planned)
            fewest = min(fewest, self._train(~held_out, recipe, deadline))
            hits[held_out] = _hits(self.model, self.rows.plain(held_out))
        return Found(hits, count, fewest)

    def _told(self, part: int, count: int, steps: int, step: float) -> str:
        views = len(self.rows.views)
        which = f"training {part + 1} of {count}, " if count > 1 else ""
        return (
            f"pilot: {which}{steps} steps of {1000 * step:.0f} ms on {views} "
            f"view{'' if views == 1 else 's'}"
        )

    def _train(self, which: NDArray[np.bool_], recipe: Recipe, deadline: Deadline) -> int:
        """Train until the steps or the minutes are over, and give the steps taken."""
        taken = 0

        def on_step(progress: Progress) -> None:
            nonlocal taken
            taken = progress.step
            self.observer.progress(taken, recipe.steps)
            if taken < recipe.steps and deadline.left <= 0:
                raise _TimeIsUpError

        batches = self.rows.batches(which, recipe)
        try:
            train(self.model, batches, recipe, self.freezing, on_step=on_step)
        except _TimeIsUpError:
            self.model.eval()
        return taken


class _TimeIsUpError(Exception):
    """Ends a training whose steps became slower than those that were timed."""


def _hits(model: nn.Module, rows: Activations) -> NDArray[np.bool_]:
    """Which rows the model has right, (V,) bool, in float32."""
    device, found = next(model.parameters()).device, []
    with torch.inference_mode():
        for start in range(0, len(rows), _AT_ONCE):
            some = np.arange(start, min(start + _AT_ONCE, len(rows)))
            inputs = rows.read(some, np.zeros(len(some), np.int64))
            found.append(model(inputs.to(device)).argmax(1).cpu().numpy() == rows.labels[some])
    return np.concatenate(found)
