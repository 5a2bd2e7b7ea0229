"""`sweep`: how far to go from the weights before a training to those after it.

Halfway is often better than either end, and no way at all is among the choices: so a
training that did harm is taken back, by validation rows alone. A training makes a model too sure
of itself, which one number mends; so each point is judged at the temperature that suits it.

Source: Wortsman et al. (2022), *Robust fine-tuning of zero-shot models*, CVPR.
V is the number of validation rows, K of classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from embedcache.evaluation.units import paired_difference
from embedcache.finetuning.judging import row_losses
from embedcache.finetuning.rates import restore
from embedcache.heads.temperature import fit_temperature

__all__ = ["ALPHAS", "Point", "Sweep", "move_to", "point_to_take", "sweep"]

ALPHAS = tuple(tenths / 10 for tenths in range(11))
"""Shares of the way; 0 is the frozen model, 1 the tuned one."""

Logits = Callable[[nn.Module], NDArray[np.float32]]
"""(V, K) logits of a model on the validation rows."""


@dataclass(frozen=True)
class Point:
    """The model part of the way.

    Attributes:
        alpha: Share of the way.
        log_loss: Mean over the validation rows at the best temperature, in nats.
        accuracy: Likewise.
        excess: Log-loss above that of the best point.
        standard_error: Of the excess, rows paired, over groups; None where all rows are one group.
    """

    alpha: float
    log_loss: float
    accuracy: float
    excess: float
    standard_error: float | None


@dataclass(frozen=True)
class Sweep:
    """All points, and the one to take.

    Attributes:
        points: In the order of `ALPHAS`.
        alpha: Of the point to take, see `point_to_take`.
        barrier: Largest excess of the log-loss over the straight line between both ends: 0
            where the way leads through no worse weights. Source: Entezari et al. (2022), *The
            role of permutation invariance in linear mode connectivity*, ICLR.
        temperature: What the logits are divided by there; 1 for the frozen model.
    """

    points: tuple[Point, ...]
    alpha: float
    barrier: float
    temperature: float = 1.0


def sweep(
    model: nn.Module,
    initial: dict[str, Tensor],
    final: dict[str, Tensor],
    logits: Logits,
    labels: NDArray[np.int64],
    group: NDArray[np.int32],
) -> Sweep:
    """Judge the model at each share of the way, and leave it at the one to take.

    Args:
        model: Backbone and head, in evaluation mode.
        initial: Parameters before the training, by name; those that moved.
        final: The same after it.
        logits: Judges it.
        labels: (V,) of the same rows, 0 to K − 1.
        group: (V,) codes of what errs together, negative for a row of its own.
    """
    losses, accuracies, temperatures = [], [], []
    for alpha in ALPHAS:
        move_to(model, initial, final, alpha)
        found = logits(model)
        temperatures.append(fit_temperature(found, labels))
        losses.append(row_losses(found / np.float32(temperatures[-1]), labels))
        accuracies.append(float((found.argmax(1) == labels).mean()))
    means = np.array([each.mean() for each in losses])
    best = int(means.argmin())
    excesses = [paired_difference(each, losses[best], group) for each in losses]
    points = tuple(
        Point(alpha, float(mean), accuracy, excess, error if np.isfinite(error) else None)
        for alpha, mean, accuracy, (excess, error) in zip(
            ALPHAS, means, accuracies, excesses, strict=True
        )
    )
    chosen = point_to_take(points)
    move_to(model, initial, final, ALPHAS[chosen])
    line = np.linspace(means[0], means[-1], len(means))
    barrier = float((means - line)[1:-1].max())
    temperature = temperatures[chosen] if chosen else 1.0
    return Sweep(points, ALPHAS[chosen], max(0.0, barrier), temperature)


def point_to_take(points: Sequence[Point]) -> int:
    """The index of the least log-loss: what ships is for the gate to say.

    Where that is the frozen model, the best tuned one is taken if it has more rows right and its
    excess is within a standard error: it is accuracy that the gate compares. The other rules
    that were tried gave up trainings that helped: the smallest share within a standard error three
    of ten on ELPV, which had 2 to 3 points more of the validation rows right; the least log-loss
    alone one of ten, with 1.8 points more and an excess of 0.03 standard errors.

    Args:
        points: In the order of `ALPHAS`.

    Returns:
        0, the frozen model, also where all rows are one group, which tells no point from another.
    """
    frozen, *tuned = points
    if frozen.standard_error is None:
        return 0
    rival = min(tuned, key=lambda point: point.log_loss)
    if rival.log_loss >= frozen.log_loss:
        assert rival.standard_error is not None
        is_sound = rival.excess <= rival.standard_error
        if not (is_sound and rival.accuracy > frozen.accuracy):
            return 0
    return points.index(rival)


def move_to(
    model: nn.Module, initial: dict[str, Tensor], final: dict[str, Tensor], alpha: float
) -> None:
    """Set the parameters to a share of the way; both ends are met bit by bit."""
    if alpha in (0, 1):
        # Not by arithmetic, which rounds, and turns −0 into 0.
        restore(model, final if alpha else initial)
        return
    restore(model, {name: value.lerp(final[name], alpha) for name, value in initial.items()})
