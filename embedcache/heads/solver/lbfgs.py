"""L-BFGS on many problems at once, each with its own step; one evaluation per iteration.

P is the number of problems, K the logits of each, D the dimension. All problems
share the pass over the rows that an evaluation costs. The first step's length is
searched for on some of the rows. Later a step of length 1 along a preconditioned
direction is nearly always taken, so that a search along logits kept from the last
pass would save few passes, and cost twice N · M numbers of memory.
Nocedal & Wright 2006, *Numerical Optimization*, algorithms 7.4 and 3.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from embedcache.heads.solver.objective import Objective

__all__ = ["Lbfgs"]

_MEMORY, _LEAST_MEMORY = 10, 4  # pairs of steps and changes of the gradient to keep

_SHARE, _FREE = 0.2, 2**22
"""Numbers that all pairs may take, as a share of the features' or at least."""

_SUFFICIENT = 1e-4  # share of the decrease that the slope promises; Nocedal & Wright's value

_HALF = 1e-3  # share of the value that bfloat16 products can be off by

Precondition = Callable[[torch.Tensor], torch.Tensor]


class Lbfgs:
    """State of the minimisation.

    Args:
        objective: The problems.
        parameters: (P, K, D + 1), where to start.

    Attributes:
        objective: The problems that are left.
        parameters: (P, K, D + 1).
        value: (P,) float64.
        gradient: (P, K, D + 1).
        gap: (P,) float64: estimate of how far the value is above the optimum, half the
            Newton decrement.
        passes: Evaluations so far.
    """

    objective: Objective
    parameters: torch.Tensor
    value: torch.Tensor
    gradient: torch.Tensor
    gap: torch.Tensor
    passes: int
    _direction: torch.Tensor | None
    _slope: torch.Tensor
    _length: torch.Tensor
    _scale: torch.Tensor
    _noise: float

    def __init__(self, objective: Objective, parameters: torch.Tensor) -> None:
        self.objective = objective
        most = max(_FREE, _SHARE * objective.rows.n * objective.rows.d)
        pairs = int(most / (2 * parameters.numel()))
        self._memory = min(_MEMORY, max(_LEAST_MEMORY, pairs))
        self._pairs: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        self.passes = 0
        self._start(parameters)

    def iterate(self, precondition: Precondition) -> None:
        """One pass over the rows."""
        self.aim(precondition)
        assert self._direction is not None
        length = self._length.to(self.parameters.dtype)[:, None, None]
        step = length * self._direction
        trial = self.objective(self.parameters + step)
        enough = self.value + _SUFFICIENT * self._length * self._slope
        taken = trial.value <= enough + self._noise * self.value.abs()
        self.passes += 1
        self._remember(step, trial.gradient - self.gradient, taken)
        keep = taken[:, None, None]
        self.parameters = torch.where(keep, self.parameters + step, self.parameters)
        self._shorten(trial.value, taken)
        self.value = torch.where(taken, trial.value, self.value)
        self.gradient = torch.where(keep, trial.gradient, self.gradient)
        self._turn(taken, precondition)

    def aim(self, precondition: Precondition) -> None:
        """Find the first direction, and with it the first estimate of the gap."""
        if self._direction is None:
            direction = self._turn(torch.ones_like(self.value, dtype=torch.bool), precondition)
            if not self._pairs:
                # The curvature at zero says little of that where answers are sure: a step of
                # length 1 from there was two or three times too long on three data sets, C = 0.01.
                self._length = self.objective.length(self.parameters, direction, self._slope)

    def at(self, objective: Objective) -> None:
        """Go on at other C: what the penalty adds is known without a pass over the rows.

        To the value, to the gradient and to each change of the gradient that is remembered.
        """
        added = objective.penalty - self.objective.penalty
        self.objective = objective
        weights = self.parameters[..., :-1]
        self.value = self.value + added * weights.square().sum((1, 2), dtype=torch.float64) / 2
        added = added.to(weights.dtype)[:, None, None]
        self.gradient[..., :-1] += added * weights
        pairs, self._pairs = self._pairs, []
        for step, change, rho in pairs:
            change[..., :-1] += added * step[..., :-1]
            self._remember(step, change, rho > 0)
        self._aim_anew()

    def forget(self) -> None:
        """Keep nothing of the steps so far."""
        self._pairs = []
        self._aim_anew()

    def to(self, dtype: torch.dtype) -> None:
        """Go on in another precision, from the same point."""
        self.objective = replace(self.objective, dtype=dtype, half=False)
        self._pairs = [(s.to(dtype), y.to(dtype), rho.to(dtype)) for s, y, rho in self._pairs]
        self._start(self.parameters.to(dtype))

    def _start(self, parameters: torch.Tensor) -> None:
        self.parameters = parameters
        evaluated = self.objective(parameters)
        self.value, self.gradient = evaluated.value, evaluated.gradient
        # Rounding: no decrease below this share of the value can be seen.
        self._noise = _HALF if self.objective.half else 10 * torch.finfo(parameters.dtype).eps
        self.passes += 1
        self._aim_anew()

    def _aim_anew(self) -> None:
        """The next direction is found from the gradient as it is now."""
        self.gap = torch.full_like(self.value, torch.inf)
        self._direction = None
        self._slope = torch.zeros_like(self.value)
        self._length = torch.ones_like(self.value)
        self._scale = torch.ones_like(self.value)

    def _turn(self, taken: torch.Tensor, precondition: Precondition) -> torch.Tensor:
        """A new direction for problems that moved."""
        fresh = -self._inverse_hessian(self.gradient, precondition)
        slope = _dot(fresh, self.gradient)
        self.gap = torch.where(taken, -slope / 2, self.gap)
        if self._direction is None:
            self._slope = slope
        else:
            fresh = torch.where(taken[:, None, None], fresh, self._direction)
            self._slope = torch.where(taken, slope, self._slope)
        self._direction = fresh
        return fresh

    def _shorten(self, value: torch.Tensor, taken: torch.Tensor) -> None:
        """Length 1 after a step; else the minimum of the parabola through what is known."""
        t = self._length
        curvature = value - self.value - t * self._slope
        parabola = -self._slope * t.square() / (2 * curvature)
        shorter = torch.where(torch.isfinite(parabola), parabola, t / 10)
        self._length = torch.where(taken, 1.0, torch.clamp(shorter, t / 10, t / 2))

    def _remember(self, step: torch.Tensor, change: torch.Tensor, taken: torch.Tensor) -> None:
        product = _dot(step, change)
        size = (_dot(step, step) * _dot(change, change)).sqrt()
        useful = taken & (product > self._noise * size)
        rho = torch.where(useful, 1 / product, 0.0).to(step.dtype)
        self._pairs = [*self._pairs[-self._memory + 1 :], (step, change, rho)]

    def _inverse_hessian(self, gradient: torch.Tensor, precondition: Precondition) -> torch.Tensor:
        q = gradient.clone()
        factors = []
        for s, y, rho in reversed(self._pairs):
            factor = rho * _dot(s, q).to(q.dtype)
            q -= factor[:, None, None] * y
            factors.append(factor)
        q = self._scaled(q, precondition)
        for (s, y, rho), factor in zip(self._pairs, reversed(factors), strict=True):
            q += (factor - rho * _dot(y, q).to(q.dtype))[:, None, None] * s
        return q

    def _scaled(self, q: torch.Tensor, precondition: Precondition) -> torch.Tensor:
        """Preconditioned, times the factor that explains the last change of the gradient.

        Nocedal & Wright's equation 7.20. Without it, half the steps at C = 1 on digits were too
        long and refused: 89 passes instead of 48.
        """
        if not self._pairs:
            return precondition(q)
        step, change, rho = self._pairs[-1]
        # Together: where there are few columns the preconditioner costs what reading it costs.
        q, turned = precondition(torch.stack([q, change]))
        explained = _dot(change, turned)
        known = (rho > 0) & (explained > 0)
        self._scale = torch.where(known, _dot(step, change) / explained, self._scale)
        return q * self._scale.to(q.dtype)[:, None, None]


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(P,) float64, summed in the precision of a and b: float64 sums took twice the time."""
    products: torch.Tensor = torch.linalg.vecdot(a.flatten(1), b.flatten(1))
    return products.double()
