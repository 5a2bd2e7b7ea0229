"""`Group`: folds that share one matrix of features, at one C after another.

N is the number of rows, D the dimension, K the number of classes, L the number of
labels of a multilabel problem, else 1, F the number of folds, P = F · L the number
of problems.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from embedcache.heads.features import BLOCK
from embedcache.heads.solver.fit import COLUMNS, Fit, scaler_sides, solved
from embedcache.heads.solver.leading import Leading
from embedcache.heads.solver.minimise import Minimiser
from embedcache.heads.solver.objective import Objective
from embedcache.heads.solver.rows import Rows
from embedcache.heads.solver.sides import Sides, unseen_classes
from embedcache.heads.solver.targets import Targets
from embedcache.heads.standardise import Scaler

__all__ = ["Fitted", "Group"]

_SOLVED, _SOLVED_IN_PARTS = 3, 2
"""C whose fits are kept for others to start between; fewer where they take much memory."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """Weights (F, L · K, D) and bias (F, L · K), −∞ of unseen classes, for the common rows."""

    rows: Rows
    fold: NDArray[np.int64]
    weights: torch.Tensor
    bias: torch.Tensor

    def write(self, logits: NDArray[np.float32], rows: NDArray[np.integer]) -> None:
        """Fill in those of rows that one of the folds holds out."""
        for at in range(0, len(rows), BLOCK):
            fold = self.fold[rows[at : at + BLOCK]]
            for number in np.unique(fold[fold >= 0]).tolist():
                inside = at + np.flatnonzero(fold == number)
                x = self.rows.block(rows[inside])
                part = torch.addmm(self.bias[number], x, self.weights[number].T)
                logits[inside] = part.cpu().numpy()


class Group:
    """F folds over one `Rows`; `width` is the number of logits of a row, L · K."""

    def __init__(
        self,
        rows: Rows,
        targets: Targets,
        folds: NDArray[np.integer],
        numbers: NDArray[np.integer],
        weight: NDArray[np.float64],
        scalers: list[Scaler],
        common: Scaler,
    ) -> None:
        self._rows, device, self._common = rows, rows.device, common
        self._targets = targets
        self.width = self._targets.labels * self._targets.k
        member = np.isin(folds, numbers)
        self._fold = np.where(member, np.searchsorted(numbers, folds), -1)
        weights = torch.from_numpy(np.where(folds != numbers[:, None], weight, 0.0))
        weights = weights.to(device, rows.dtype)
        unseen = unseen_classes(targets, weights)
        self._sides = Sides(weights, *scaler_sides(rows, scalers), unseen)
        self._leading: Leading | None = None
        self._runs: list[Minimiser] = []  # one for each part of the problems
        self._c, self._solved = 0.0, dict[float, list[torch.Tensor]]()

    @property
    def is_alone(self) -> bool:
        """Whether it is one fold, others being groups with rows of their own."""
        return len(self._sides.weights) == 1

    def solve(self, c: float, tolerance: float, max_passes: int) -> tuple[bool, int]:
        """Whether all folds converged, and the passes that they took together."""
        before, converged = self._passes, True
        if not self._runs:
            self._begin(c)
        elif c != self._c:
            self._move(c)
        self._c = c
        for run in self._runs:
            run.solve(tolerance, max_passes, rough=True)
            converged &= bool(run.converged(tolerance).all())
            if len(self._runs) > 1:
                run.forget()  # of all parts together it would be as large as the features
        if converged:
            self._solved.pop(c, None)
            self._solved[c] = [each.to(torch.bfloat16) for each in self._parameters]
            most = _SOLVED if len(self._runs) == 1 else _SOLVED_IN_PARTS
            for oldest in list(self._solved)[:-most]:
                del self._solved[oldest]
        return converged, self._passes - before

    @property
    def _passes(self) -> int:
        """Of all folds together, so far."""
        return sum(run.state.passes * len(run.state.objective) for run in self._runs)

    @property
    def _parameters(self) -> list[torch.Tensor]:
        """Where each run stands."""
        return [run.state.parameters.to(self._rows.dtype) for run in self._runs]

    def _begin(self, c: float) -> None:
        objective = self._objective(self._sides, c)
        leading, start = self._directions(objective), objective.start()
        for part in torch.split(torch.arange(len(objective)), max(1, COLUMNS // self._targets.k)):
            self._runs.append(Minimiser(objective.subset(part), start[part], leading))

    def _move(self, c: float) -> None:
        """To another C: from where it stands, or from fits that are nearer."""
        near = self._near(c)
        for number, run in enumerate(self._runs):
            run.at(c, None if near in ([], [self._c]) else self._between(c, near, number))

    def _near(self, c: float) -> list[float]:
        """The nearest C at or below and above whose fits are known.

        Above, those that were fitted to the end; below also where it stands: from there a fit has
        nothing to unlearn.
        """
        below = [each for each in (*self._solved, self._c) if each <= c]
        above = [each for each in self._solved if each > c]
        return [*([max(below)] if below else []), *([min(above)] if above else [])]

    def _between(self, c: float, near: list[float], number: int) -> torch.Tensor:
        """Parameters of a run between those at the one or two near C."""
        known = {self._c: self._parameters, **self._solved}
        ends = [known[each][number].to(self._rows.dtype) for each in near]
        share = math.log(c / near[0]) / math.log(near[1] / near[0]) if len(near) == 2 else 0.0
        return torch.lerp(ends[0], ends[-1], share)

    def refit(
        self, c: float, weight: NDArray[np.float64], tolerance: float, max_passes: int
    ) -> Fit:
        """A fit to all rows, of weights (N,), from the mean of the folds."""
        rows, scaler = self._rows, self._common
        weights = torch.from_numpy(weight[None]).to(rows.device, rows.dtype)
        objective = self._objective(Sides(weights, *scaler_sides(rows, [scaler])), c)
        begin, near, problem = objective.start(), self._near(c), 0
        for number, run in enumerate(self._runs):
            for fold in self._between(c, near, number) if near else run.state.parameters:
                begin[problem % len(begin)] += fold.to(rows.dtype) / len(self._sides.weights)
                problem += 1
        for run in self._runs:
            run.forget()
        leading = self._directions(objective)
        return solved(objective, begin, leading, scaler, tolerance, max_passes)

    def fitted(self) -> Fitted:
        """What predicts, as it is now."""
        dtype = self._rows.dtype
        folds = torch.cat(self._parameters).view(-1, self.width, self._rows.d + 1)
        weights = folds[..., :-1].mul_(self._sides.stretch.to(dtype)[:, None])
        shift = self._sides.shift.to(dtype)[:, :, None]
        bias = folds[..., -1] - (weights @ shift)[..., 0]
        if self._sides.unseen is not None:
            bias.masked_fill_(self._sides.unseen, -torch.inf)
        return Fitted(self._rows, self._fold, weights, bias)

    def _directions(self, objective: Objective) -> Leading:
        if self._leading is None:
            self._leading = Leading.of(objective)
        return self._leading

    def _objective(self, sides: Sides, c: float) -> Objective:
        """All labels on all training parts that the sides are of."""
        labels, device = self._targets.labels, self._rows.device
        problem = torch.arange(len(sides.weights) * labels, device=device)
        return Objective(
            self._rows,
            self._targets,
            sides,
            torch.full((len(problem),), c, dtype=torch.float64, device=device),
            problem // labels,
            problem % labels,
            intercept=True,
            dtype=self._rows.dtype,
        )
