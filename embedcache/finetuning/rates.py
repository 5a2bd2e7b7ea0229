"""`--lr auto`: short trainings at three rates, of which the best on validation is taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from embedcache.errors import DivergedError
from embedcache.finetuning.recipe import Recipe

__all__ = ["FACTORS", "Trial", "best_rate", "restore", "run_trial", "trial_recipe"]

FACTORS = (1 / 3, 1.0, 3.0)


@dataclass(frozen=True)
class Trial:
    """A short training.

    Attributes:
        learning_rate: At its peak.
        log_loss: On the validation rows; None where it diverged.
        accuracy: Likewise.
        seconds: It took.
    """

    learning_rate: float
    log_loss: float | None
    accuracy: float | None
    seconds: float


def trial_recipe(recipe: Recipe, factor: float) -> Recipe:
    """A quarter of the length, at another rate."""
    rate = recipe.learning_rate * factor
    return replace(recipe, learning_rate=rate, steps=max(1, recipe.steps // 4))


def run_trial(recipe: Recipe, train: Callable[[Recipe], tuple[float, float]]) -> Trial:
    """Train for a while and look at the validation rows.

    Args:
        recipe: Of the trial.
        train: Trains from the start, and gives log-loss and accuracy.
    """
    started = time.monotonic()
    log_loss: float | None
    accuracy: float | None
    try:
        log_loss, accuracy = train(recipe)
    except DivergedError:
        log_loss = accuracy = None
    return Trial(recipe.learning_rate, log_loss, accuracy, time.monotonic() - started)


def best_rate(trials: tuple[Trial, ...]) -> float:
    """The rate with the lowest log-loss.

    Raises:
        DivergedError: None of them has one.
    """
    finished = [(each.log_loss, each.learning_rate) for each in trials if each.log_loss is not None]
    if not finished:
        raise DivergedError(
            "the training diverged at every rate that was tried",
            got=", ".join(f"{each.learning_rate:.2g}" for each in trials),
            hint="a much smaller --lr; embedcache verify says whether the cache is sound",
        )
    return min(finished)[1]


def restore(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Give parameters back their values."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in tensors:
                parameter.copy_(tensors[name])
