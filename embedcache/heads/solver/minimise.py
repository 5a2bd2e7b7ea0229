"""`minimise`: L-BFGS with a preconditioner, in the precision that each stage needs."""

from __future__ import annotations

from dataclasses import replace

import torch

from embedcache.heads.solver.lbfgs import Lbfgs
from embedcache.heads.solver.leading import Leading
from embedcache.heads.solver.objective import Objective
from embedcache.heads.solver.preconditioner import TwoLevel

__all__ = ["Minimiser", "minimise"]

_HALF, _SINGLE = 1e-5, 1e-7
"""Tolerances that bfloat16 and float32 are asked for: below them rounding may keep a gap from
closing."""

_FIRST = 4
"""Passes after which the preconditioner is renewed first, on the way from a start that may be far
off; then each time that they have tripled."""

_PATIENCE = 10
"""Passes within which an objective must fall by the tolerance, or it stands still."""


def minimise(
    objective: Objective,
    start: torch.Tensor,
    leading: Leading,
    tolerance: float,
    max_passes: int,
    *,
    rough: bool = False,
) -> Minimiser:
    """Minimise in bfloat16 products where they are fast, in float32, then in float64 if need be.

    Args:
        objective: The problems, in float32, or in float64 from beginning to end.
        start: (P, K, D + 1).
        leading: Directions of the rows.
        tolerance: Largest estimated gap to the optimum, relative to the objective.
        max_passes: Over the rows, in any precision.
        rough: Whether bfloat16 may have the last word.
    """
    double = objective.dtype == torch.float64
    half = objective.rows.half
    run = Minimiser(Lbfgs(replace(objective, half=half), start), leading)
    if half:
        run.run(max_passes, max(tolerance, _HALF), until_still=True)
        if rough and tolerance >= _HALF:
            return run
        run.to(torch.float32)
    if not double:
        single = max(tolerance, _SINGLE)
        run.run(max(1, max_passes - run.state.passes), single, until_still=tolerance < _SINGLE)
        if tolerance < _SINGLE:
            run.to(torch.float64)
    run.run(max(1, max_passes - run.state.passes), tolerance)
    return run


class Minimiser:
    """A minimisation that can be continued.

    The preconditioner is renewed now and then.

    Args:
        state: Where to start.
        leading: Directions of the rows.
    """

    def __init__(self, state: Lbfgs, leading: Leading) -> None:
        self.state, self._leading = state, leading
        self._iteration, self._renew = 0, 0
        self._precondition: TwoLevel | None = None

    def run(self, passes: int, tolerance: float, *, until_still: bool = False) -> None:
        """At most so many passes; ends once every gap is ≤ tolerance · value.

        Args:
            passes: Over the rows.
            tolerance: Relative to the objective.
            until_still: End as well where rounding hides any further decrease.
        """
        before = torch.full_like(self.state.value, torch.inf)
        for count in range(passes):
            if until_still and count % _PATIENCE == 0:
                value = self.state.value
                if bool((before - value <= tolerance * value).all()):
                    break
                before = value
            if self._precondition is None or self._iteration >= self._renew:
                self._precondition = TwoLevel(
                    self.state.objective, self._leading, self.state.parameters
                )
                self._renew = max(_FIRST, 3 * self._iteration)
            self.state.aim(self._precondition)
            if bool(self.converged(tolerance).all()):
                break
            self.state.iterate(self._precondition)
            self._iteration += 1

    def converged(self, tolerance: float) -> torch.Tensor:
        """(P,) whether the estimated gap is ≤ tolerance · value."""
        return self.state.gap <= tolerance * self.state.value

    def to(self, dtype: torch.dtype) -> None:
        """Go on in another precision, from the same point."""
        self.state.to(dtype)
        self._precondition = None
