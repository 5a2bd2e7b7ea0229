"""`Search`: which settings of a ladder are tried, and in which order.

n is the number of rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UsageError
from embedcache.evaluation.units import paired_difference
from embedcache.heads.ladder import Ladder, Setting, described
from embedcache.heads.model import Fold, Glancing, Model, Scored
from embedcache.heads.tried import Tried

__all__ = ["Progress", "Search", "is_hopeless"]

Progress = Callable[[str], None]
"""Told in words what is being computed."""

# To rank settings no fit needs to converge. The gradient of the mean loss shrinks with the loss
# and is spread over K classes, so the tolerance is relative to both: an absolute one would let
# fits of easy data, or of many classes, end where they started. On ELPV this is about 1e-4 near
# the best C: a quarter of the iterations of 1e-6, at a held-out log-loss within 3e-4 of the limit.
_TOLERANCE = 6e-4

_HOPELESS = 2.0
"""Higher rungs are left out once one is worse than the best by this many paired errors."""

_EQUAL = 1e-5
"""Share of the lowest loss below which a gain is none: of many rows, less and less regularisation
may gain in later and later digits, each time by many paired errors. The climb goes on all the same:
such a gain may be the first of some that grow."""

_SOLVED = 1e-3
"""Higher rungs are left out once the loss is below this: separable data would ask for
weights without end."""


def is_hopeless(difference: float, error: float) -> bool:
    """Whether a loss is worse than the best beyond doubt, by their paired difference."""
    return difference > _HOPELESS * error > 0


class Search:
    """Settings of one model, tried on ladders that find their own range.

    Args:
        model: What is fitted.
        scorer: Scores every row by a fit that has not seen it.
        judged: Judges the scores at a setting.
        group: (n,) int32 codes of the rows that are judged, negative for none.
        k: Number of classes that a row is told to be of.
        progress: Told of every setting.

    Attributes:
        scorer: As given.
        tried: By ladder and rung, simplest first.
        stopped_early: Whether higher rungs were left out.
        on_edge: Whether the best is at the end of what a ladder allows.
    """

    def __init__(
        self,
        model: Model,
        scorer: Fold,
        judged: Callable[[Setting, Scored], Tried],
        group: NDArray[np.int32],
        k: int,
        progress: Progress | None,
    ) -> None:
        self._model, self.scorer, self._judged = model, scorer, judged
        self._group, self._k, self._progress = group, k, progress
        self.tried: dict[tuple[int, int], Tried] = {}
        self._log_loss = float(np.log(k))
        self.stopped_early = self.on_edge = False

    def climb(self, number: int, ladder: Ladder, smallest: int) -> None:
        """Up until hopeless, then down, then the neighbours of the best that are not hopeless."""
        top = len(ladder.values) - 1
        at = ladder.first
        while at <= ladder.top or (at <= top and self._best_of(number) == at - ladder.stride):
            if self._possible(ladder, at, smallest):
                # Not on the way down: from above a fit begins with what it must unlearn.
                self._try(number, ladder, at, glance=True)
                if ladder.stops and self._solved_or_worse(number, at):
                    self.stopped_early = True
                    break
            at += ladder.stride
        at = ladder.first - ladder.stride
        while at >= 0 and self._best_of(number) == at + ladder.stride:
            self._try(number, ladder, at)
            at -= ladder.stride
        if not ladder.open_ended:
            return
        best = self._best_of(number)
        self.on_edge |= self._gains_at_end(number, top)
        # The lower first: it may show the best so far to be hopeless, and so all that is higher.
        if best > 0:
            self._try(number, ladder, best - 1)
        winner = (number, self._best_of(number))
        if best < top and not (ladder.stops and self._hopeless((number, best), winner)):
            self._try(number, ladder, best + 1, glance=True)

    def exactly(self, number: int, ladder: Ladder) -> None:
        """Every rung, without extension or early stop."""
        for at in range(len(ladder.values)):
            self._try(number, ladder, at)
        self.on_edge |= self._gains_at_end(number, len(ladder.values) - 1)

    def _gains_at_end(self, number: int, top: int) -> bool:
        """Whether an end of a ladder is the best of all, not just equal to the rung beside it."""
        of, end = self.best
        if of != number or end not in {0, top}:
            return False
        near = sorted((at for of, at in self.tried if of == number), key=lambda at: abs(at - end))
        losses = [float(self.tried[number, at].losses.mean()) for at in near[:2]]
        return losses[-1] - losses[0] > _EQUAL * losses[0]

    def _possible(self, ladder: Ladder, at: int, rows: int) -> bool:
        try:
            self._model.check(ladder.setting(at), rows)
        except UsageError:
            return False  # such as more neighbours than rows
        return True

    @property
    def best(self) -> tuple[int, int]:
        """The setting of the lowest mean loss so far, the simpler of equals."""
        return min(self.tried, key=lambda key: (self.tried[key].losses.mean(), key))

    @property
    def simplest(self) -> tuple[int, int]:
        """The simplest setting within one paired standard error of the best, or equal to it."""
        best = self.best
        equal = _EQUAL * self.tried[best].losses.mean()
        for key in sorted(self.tried):
            mean, error = self.difference(key, best)
            if key == best or mean <= max(error, equal):
                return key
        raise AssertionError("the best is not among those tried")

    def again(self, key: tuple[int, int]) -> Scored:
        """Scores at a setting that was tried, which is judged by them anew."""
        before = self.tried[key]
        made = self._score(before.setting)
        made = replace(made, iterations=made.iterations + before.iterations)
        self._keep(key, self._judged(before.setting, made))
        return made

    def _best_of(self, number: int) -> int:
        """The best rung of one ladder."""
        keys = [key for key in self.tried if key[0] == number]
        return min(keys, key=lambda key: (self.tried[key].losses.mean(), key), default=(0, -1))[1]

    def _try(self, number: int, ladder: Ladder, at: int, *, glance: bool = False) -> None:
        """Fit all folds at a setting and keep the loss of every out-of-fold row.

        With a glance, a setting that is hopeless after a few passes is not fitted to the end.
        """
        setting = ladder.setting(at)
        if self._progress:
            self._progress(f"choosing {self._model.name}: {described(setting)}")
        spent = 0
        if glance and self.tried and isinstance(self.scorer, Glancing):
            glanced = self.scorer.glance(setting)
            self._keep((number, at), self._judged(setting, glanced))
            if glanced.converged or self._hopeless((number, at)):
                return
            spent = glanced.iterations
        made = self._score(setting)
        made = replace(made, iterations=made.iterations + spent)
        self._keep((number, at), self._judged(setting, made))

    def _score(self, setting: Setting) -> Scored:
        return self.scorer.score(setting, _TOLERANCE * self._log_loss / self._k)

    def _keep(self, key: tuple[int, int], tried: Tried) -> None:
        self.tried[key] = tried
        self._log_loss = min(self._log_loss, tried.log_loss)

    def _solved_or_worse(self, number: int, at: int) -> bool:
        solved = float(self.tried[number, at].losses.mean()) < _SOLVED
        return solved or self._hopeless((number, at))

    def _hopeless(self, key: tuple[int, int], winner: tuple[int, int] | None = None) -> bool:
        """Whether a setting is worse than the best, or another one, by so many paired errors."""
        mean, error = self.difference(key, winner)
        equal = _EQUAL * self.tried[winner or self.best].losses.mean()
        return is_hopeless(mean, error) and bool(mean > equal)

    def difference(
        self, key: tuple[int, int], other: tuple[int, int] | None = None
    ) -> tuple[float, float]:
        """Mean and standard error of the loss of a setting minus that of the best, or another."""
        reference = self.tried[other or self.best].losses
        return paired_difference(self.tried[key].losses, reference, self._group)
