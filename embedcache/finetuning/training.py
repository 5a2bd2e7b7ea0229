"""`train`: from a model and its training rows to the weights that they lead to.

The loop knows nothing of images, caches or backbones: any module that maps inputs to
logits will do.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from embedcache.errors import DivergedError
from embedcache.finetuning.batches import Batch, Batches
from embedcache.finetuning.checkpoint import Checkpoint, Saved
from embedcache.finetuning.curve import Judged, Loss, Progress
from embedcache.finetuning.determinism import deterministic
from embedcache.finetuning.freezing import Freezing, freeze, set_modes
from embedcache.finetuning.interrupts import DeferredSignals
from embedcache.finetuning.loading import stream
from embedcache.finetuning.optimiser import load_moments, make_optimiser, moments, set_rate
from embedcache.finetuning.recipe import Recipe
from embedcache.finetuning.sampling import derived_seed
from embedcache.finetuning.stepping import Stepper

__all__ = ["EVALUATIONS", "Judge", "Trained", "train"]

EVALUATIONS = 4
"""Looks at the validation rows, besides the one before the first step."""

_LOSSES = 50
_DROPOUT = 1
"""What sets the seeds of dropout apart from others of the same run."""

Judge = Callable[[nn.Module], tuple[float, float]]
"""Log-loss and accuracy on the validation rows."""


@dataclass(frozen=True, eq=False)
class Trained:
    """The two ends of a training.

    Attributes:
        initial: Parameters before the first step, by name, on the CPU; those that the
            training moves, the others being the same at both ends.
        final: The same after the last.
        progress: The curves.
    """

    initial: dict[str, Tensor]
    final: dict[str, Tensor]
    progress: Progress


def train(
    model: nn.Module,
    batches: Batches,
    recipe: Recipe,
    freezing: Freezing,
    *,
    judge: Judge | None = None,
    checkpoint: Checkpoint | None = None,
    workers: int = 0,
    on_step: Callable[[Progress], None] | None = None,
) -> Trained:
    """Train to the recipe's last step, from where the checkpoint left off.

    On one machine the result is, bit by bit, that of a training without interruption.
    SIGINT and SIGTERM act after the step at work, and after a checkpoint.

    Args:
        model: Inputs to logits, on its device, as it is before the first step. It is
            left with the final weights.
        batches: The training rows.
        recipe: How.
        freezing: Which parameters move.
        judge: Measures the model now and then; nothing is decided by it.
        checkpoint: Where to keep the state; None to keep none.
        workers: Processes that prepare batches.
        on_step: Told after each step.

    Raises:
        DivergedError: The loss is no number any more.
        OutOfMemoryError: Even one row does not fit into memory.
        StorageError: The checkpoint cannot be written.
        CacheInvalidError: The checkpoint is damaged.
    """
    parameters = freeze(model, freezing)
    initial = _copies(parameters)
    run = _Run(model, parameters, recipe, freezing, checkpoint)
    run.resume()
    device = next(iter(parameters.values())).device
    forked = [device] if device.type == "cuda" else []
    with (
        torch.random.fork_rng(forked),
        deterministic(device),
        DeferredSignals() as signals,
        contextlib.closing(stream(batches, run.progress.step, recipe.steps, workers)) as rows,
    ):
        while True:
            if judge is not None and run.is_to_be_judged():
                run.judge(judge)
            is_over = run.progress.step == recipe.steps
            # The last one, too: what follows a training takes minutes, and may be killed.
            if signals.pending or (checkpoint is not None and (is_over or checkpoint.is_due)):
                run.save()
                signals.deliver()
            if is_over:
                break
            run.step(next(rows))
            if on_step is not None:
                on_step(run.progress)
    model.eval()
    return Trained(initial, _copies(parameters), run.progress)


class _Run:
    """A training at work: the model, the optimiser and how far they are."""

    def __init__(
        self,
        model: nn.Module,
        parameters: dict[str, nn.Parameter],
        recipe: Recipe,
        freezing: Freezing,
        checkpoint: Checkpoint | None,
    ) -> None:
        self._model = model
        self._parameters = parameters
        self._recipe = recipe
        self._checkpoint = checkpoint
        self._optimiser = make_optimiser(parameters, recipe, freezing.depth)
        self._stepper = Stepper(model, list(parameters.values()), self._optimiser, recipe)
        self._loss = torch.zeros((), device=next(iter(parameters.values())).device)
        self._window = max(1, recipe.steps // _LOSSES)
        self._started = time.monotonic()
        self._before = 0.0
        self.progress = Progress(0, recipe.batch_size, 0.0, (), ())
        set_modes(model)

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one."""
        saved = None if self._checkpoint is None else self._checkpoint.load()
        if saved is None:
            return
        self.progress, self._before = saved.progress, saved.progress.seconds
        self._stepper.micro_batch = saved.progress.micro_batch
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(saved.tensors[f"model/{name}"])
        load_moments(self._optimiser, self._parameters, saved.tensors)
        self._loss = saved.tensors["loss"].to(self._loss)

    def save(self) -> None:
        """Write the checkpoint, if there is to be one."""
        if self._checkpoint is None:
            return
        values = {f"model/{name}": value.detach() for name, value in self._parameters.items()}
        state = moments(self._optimiser, self._parameters)
        tensors = {**values, **state, "loss": self._loss}
        self._checkpoint.save(Saved(self.progress, tensors))

    def is_to_be_judged(self) -> bool:
        """Whether the validation rows are due at this step, and were not looked at yet."""
        steps = self._recipe.steps
        due = {round(steps * part / EVALUATIONS) for part in range(EVALUATIONS + 1)}
        step = self.progress.step
        return step in due and step not in {judged.step for judged in self.progress.judged}

    def judge(self, judge: Judge) -> None:
        """Look at the validation rows."""
        self._model.eval()
        with torch.no_grad():
            judged = Judged(self.progress.step, *judge(self._model))
        set_modes(self._model)
        self._tell(judged=(*self.progress.judged, judged))

    def step(self, batch: Batch) -> None:
        """Take one step."""
        step = self.progress.step
        set_rate(self._optimiser, self._recipe, step)
        self._loss += self._stepper.step(batch, derived_seed(self._recipe.seed, _DROPOUT, step))
        losses = self.progress.losses
        if (step + 1) % self._window == 0 or step + 1 == self._recipe.steps:
            losses = (*losses, self._mean_loss(step + 1))
        self._tell(step=step + 1, losses=losses, micro_batch=self._stepper.micro_batch)

    def _mean_loss(self, step: int) -> Loss:
        # Read here only: on a GPU it waits for all steps that are under way.
        taken = (step - 1) % self._window + 1
        mean = self._loss.item() / taken
        self._loss = torch.zeros_like(self._loss)
        if not math.isfinite(mean):
            raise DivergedError(
                "the training diverged: its loss is no number any more",
                got=f"{mean} before step {step}",
                hint="a smaller --lr, or --lr auto",
            )
        return Loss(step, mean)

    def _tell(self, **changes: Any) -> None:
        seconds = self._before + time.monotonic() - self._started
        self.progress = replace(self.progress, seconds=seconds, **changes)


def _copies(parameters: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    return {name: each.detach().cpu().clone() for name, each in parameters.items()}
