"""`Minimiser`: L-BFGS with a preconditioner, in the precision that each stage needs.

P is the number of problems, K the logits of each, D the dimension.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from embedcache.heads.solver.lbfgs import Lbfgs
from embedcache.heads.solver.leading import Leading
from embedcache.heads.solver.objective import Objective
from embedcache.heads.solver.preconditioner import TwoLevel

__all__ = ["Minimiser"]

_HALF, _SINGLE = 1e-5, 1e-7
"""Tolerances that bfloat16 and float32 are asked for: below them rounding may keep a gap from
closing. Above the former it does not in float32."""

_FIRST = 4
"""Passes after which the preconditioner is renewed first, on the way from a start that may be far
off; then each time that they have tripled."""

_PATIENCE = 10
"""Passes within which an objective must fall by the tolerance, or it stands still."""


class Minimiser:
    """A minimisation that can be continued, at the same C or at others.

    Bfloat16 products where they are fast, then float32, then float64 if need be. The
    preconditioner is renewed now and then.

    Args:
        objective: The problems, in float32, or in float64 from beginning to end.
        start: (P, K, D + 1).
        leading: Directions of the rows.

    Attributes:
        state: Where it stands.
    """

    def __init__(self, objective: Objective, start: torch.Tensor, leading: Leading) -> None:
        self._first = replace(objective, half=objective.rows.half)
        self._leading = leading
        self.state = Lbfgs(self._first, start)
        self._precondition: TwoLevel | None = None
        self._iteration, self._renew = 0, 0

    def at(self, c: float, start: torch.Tensor | None = None) -> None:
        """Go on at another C, from where it stands or from (P, K, D + 1)."""
        self._first = replace(self._first, c=torch.full_like(self._first.c, c))
        state = self.state
        precision = (state.objective.dtype, state.objective.half)
        if start is None and precision == (self._first.dtype, self._first.half):
            state.at(self._first)
        else:
            begin = state.parameters if start is None else start
            self.state = Lbfgs(self._first, begin.to(self._first.dtype))
            self.state.passes += state.passes
        self._renew_soon()

    def forget(self) -> None:
        """Keep where it stands and nothing of the way there."""
        self.state.forget()
        self._renew_soon()

    def solve(self, tolerance: float, max_passes: int, *, rough: bool = False) -> None:
        """Until every estimated gap to the optimum is ≤ tolerance · value.

        Args:
            tolerance: Relative to the objective.
            max_passes: Over the rows, in any precision.
            rough: Whether bfloat16 may have the last word.
        """
        state = self.state
        last = state.passes + max_passes
        if state.objective.half:
            self._run(last, max(tolerance, _HALF), until_still=True)
            if (rough and tolerance >= _HALF) or self.state.passes >= last:
                return
            self._to(torch.float32)
        if state.objective.dtype == torch.float32:
            self._run(last, max(tolerance, _SINGLE), until_still=tolerance < _HALF)
            done = tolerance >= _HALF or self.state.passes >= last
            if done or bool(self.converged(tolerance).all()):
                return
            self._to(torch.float64)
        self._run(last, tolerance)

    def converged(self, tolerance: float) -> torch.Tensor:
        """(P,) whether the estimated gap is ≤ tolerance · value."""
        return self.state.gap <= tolerance * self.state.value

    def _run(self, last: int, tolerance: float, *, until_still: bool = False) -> None:
        """Up to so many passes in all.

        With `until_still` it ends as well where rounding hides any further decrease.
        """
        before = torch.full_like(self.state.value, torch.inf)
        for count in range(max(1, last - self.state.passes)):
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

    def _to(self, dtype: torch.dtype) -> None:
        self.state.to(dtype)
        self._precondition = None

    def _renew_soon(self) -> None:
        self._precondition = None
        self._iteration, self._renew = 0, 0
