"""What a training will cost, from real steps, before it starts."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from statistics import median

import torch
from torch import nn

from embedcache.errors import BudgetError
from embedcache.finetuning.batches import Batches
from embedcache.finetuning.determinism import deterministic
from embedcache.finetuning.freezing import Freezing, freeze, set_modes
from embedcache.finetuning.interpolation import ALPHAS
from embedcache.finetuning.loading import stream
from embedcache.finetuning.optimiser import make_optimiser
from embedcache.finetuning.recipe import MIN_STEPS, Recipe
from embedcache.finetuning.stepping import Stepper
from embedcache.finetuning.training import EVALUATIONS

__all__ = ["Cost", "fit_into", "measure_step"]

_STEPS = 20
_WARM_UP = 2
_LONGEST = 30.0  # seconds, after which fewer steps have to do


@dataclass(frozen=True)
class Cost:
    """Seconds of the parts of a training.

    Attributes:
        step: Of one step.
        judge: Of one look at all validation rows; the sweep takes some, too.
        trials: Trainings of a quarter of the length, each judged once, that come before.
        caching: Of activations, spent before the first step.
    """

    step: float
    judge: float
    trials: int = 0
    caching: float = 0.0

    def seconds(self, steps: int) -> float:
        """In all."""
        looks = EVALUATIONS + 1 + self.trials + len(ALPHAS)
        steps += self.trials * (steps // 4)
        return self.caching + steps * self.step + looks * self.judge


def measure_step(
    model: nn.Module, batches: Batches, recipe: Recipe, freezing: Freezing, workers: int
) -> float:
    """Median seconds of about 20 real steps, at a learning rate of 0, or of all if it has fewer.

    The model is the same afterwards: nothing moves at that rate.
    """
    parameters = freeze(model, freezing)
    optimiser = make_optimiser(parameters, replace(recipe, learning_rate=0.0), freezing.depth)
    stepper = Stepper(model, list(parameters.values()), optimiser, recipe)
    device = next(iter(parameters.values())).device
    set_modes(model)
    measured = min(_STEPS, max(1, recipe.steps)) + _WARM_UP
    started, marks = time.perf_counter(), []
    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        deterministic(device),
        contextlib.closing(stream(batches, 0, measured, workers)) as rows,
    ):
        for batch in rows:
            stepper.step(batch, seed=0).item()
            marks.append(time.perf_counter())
            if len(marks) > _WARM_UP + 1 and marks[-1] - started > _LONGEST:
                break
    model.eval()
    optimiser.zero_grad(set_to_none=True)
    taken = [after - before for before, after in zip(marks[_WARM_UP - 1 :], marks[_WARM_UP:])]  # noqa: B905  # pairs
    return median(taken)


def fit_into(budget: float | None, recipe: Recipe, cost: Cost) -> Recipe:
    """The recipe, shortened if that is what it takes to end within a budget.

    Args:
        budget: Minutes, or None for any length.
        recipe: As long as it wants to be.
        cost: What was measured.

    Raises:
        BudgetError: Not even the shortest sensible training fits.
    """
    if budget is None or cost.seconds(recipe.steps) <= 60 * budget:
        return recipe
    shortest = min(MIN_STEPS, recipe.steps)
    overhead = cost.seconds(0)
    steps = int((60 * budget - overhead) / (cost.step * (1 + cost.trials / 4)))
    if steps < shortest:
        needed = cost.seconds(shortest) / 60
        raise BudgetError(
            "the budget is too small for a training that could help",
            got=f"--budget {budget:g} minutes, {max(steps, 0)} steps of {cost.step:.2f} s",
            expected=f"{shortest} steps, about {needed:.1f} minutes",
            hint=f"--budget {needed * 1.1:.0f}, fewer blocks (--unfreeze last-2), or --steps",
        )
    return replace(recipe, steps=steps)
