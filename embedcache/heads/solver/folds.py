"""`FoldedFits`: one C at a time, on all folds of a cross-validation at once.

N is the number of rows, D the dimension, K the number of classes, F the number
of folds that share one matrix of features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from embedcache.evaluation.folds import NEVER
from embedcache.heads.features import BLOCK, Features
from embedcache.heads.solver.fit import (
    COLUMNS,
    Fit,
    MakeTargets,
    scaler_sides,
    solved,
)
from embedcache.heads.solver.leading import Leading
from embedcache.heads.solver.minimise import minimise
from embedcache.heads.solver.objective import Objective, Sides
from embedcache.heads.solver.parallel import Workers
from embedcache.heads.solver.rows import Rows
from embedcache.heads.solver.span import into_span
from embedcache.heads.solver.targets import Targets
from embedcache.heads.standardise import Scaler

__all__ = ["FoldedFits", "OutOfFold"]


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Logits of every row by the fit that has not seen it, computed when they are asked for.

    Those of all rows, for many classes, take more memory than the features.

    Attributes:
        converged: Whether every fold reached the tolerance.
        passes: Over the rows, by all folds together.
    """

    converged: bool
    passes: int
    _rows: int
    _fitted: list[_Fitted]

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """(n, K) of rows by number; (n, 1) for two classes; 0 where no fold holds a row out."""
        logits = np.zeros((len(rows), self._fitted[0].bias.shape[1]), np.float32)
        for fitted in self._fitted:
            fitted.write(logits, rows)
        return logits

    @property
    def logits(self) -> NDArray[np.float32]:
        """Those of all rows."""
        return self[np.arange(self._rows)]


@dataclass(frozen=True, eq=False)
class _Fitted:
    """Weights (F, L · K, D) and bias (F, L · K) of F folds for the common rows."""

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


class FoldedFits:
    """Fits at one C after another, each from the last one tried.

    Args:
        features: N rows.
        make_targets: Makes the targets on a device in a dtype.
        folds: (N,) fold of each row; `NEVER` for one that is fitted only.
        weight: (N,) how much each row counts; None where all count 1.
        device: Where, such as `cpu` or `cuda`.
    """

    def __init__(
        self,
        features: Features,
        make_targets: MakeTargets,
        folds: NDArray[np.integer],
        weight: NDArray[np.float64] | None = None,
        device: str = "cpu",
    ) -> None:
        self._workers = Workers(torch.device(device))
        self._n = len(features)
        with self._workers:
            self._counts = np.ones(self._n) if weight is None else weight
            self._groups = _groups(features, make_targets, folds, self._counts, self._workers)

    def at(self, c: float, *, tolerance: float, max_passes: int) -> OutOfFold:
        """Fit every fold at C until the estimated gap is ≤ tolerance · objective."""
        converged, passes = True, 0
        with self._workers:
            for group in self._groups:
                done, used = group.solve(c, tolerance, max_passes)
                converged, passes = converged and done, passes + used
        fitted = [group.fitted() for group in self._groups]
        return OutOfFold(converged, passes, self._n, fitted)

    def refit(self, c: float, *, tolerance: float, max_passes: int = 2000) -> Fit | None:
        """One fit to all rows from the mean of the folds; None where each has rows of its own."""
        if self._groups[0].is_alone:
            return None
        with self._workers:
            return self._groups[0].refit(c, self._counts, tolerance, max_passes)


def _groups(
    features: Features,
    make_targets: MakeTargets,
    folds: NDArray[np.integer],
    weight: NDArray[np.float64],
    workers: Workers,
) -> list[_Group]:
    """One group of all folds, or one of each where it has fewer training rows than dimensions."""
    n, d = len(features), features.dim
    numbers, sizes = np.unique(folds[folds != NEVER], return_counts=True)
    scalers = Scaler.without_each(features, folds, numbers)
    if n - int(sizes.min()) >= d:
        common = Scaler.of(features)
        targets = make_targets(workers.device, torch.float32)
        rows = Rows(features, common, workers, logits=targets.k)
        return [_Group(rows, targets, folds, numbers, weight, scalers, common)]
    groups, raw = [], features.array()
    for fold, scaler in zip(numbers, scalers, strict=True):
        standardised = scaler.apply(raw, np.float64)
        _, basis = into_span(standardised[folds != fold])
        spanned = Features.of((standardised @ basis).astype(np.float32))
        common = Scaler.of(spanned)
        targets = make_targets(workers.device, torch.float32)
        rows = Rows(spanned, common, workers, logits=targets.k)
        own = [Scaler(np.zeros(rows.d), np.ones(rows.d))]
        groups.append(_Group(rows, targets, folds, np.array([fold]), weight, own, common))
    return groups


class _Group:
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
        self._sides = Sides(weights.to(device, rows.dtype), *scaler_sides(rows, scalers))
        self._leading: Leading | None = None
        shape = (len(numbers) * self._targets.labels, self._targets.k, rows.d + 1)
        self._parameters = torch.zeros(shape, dtype=rows.dtype, device=device)

    @property
    def is_alone(self) -> bool:
        """Whether there are other groups, with rows of their own."""
        return len(self._sides.weights) == 1

    def solve(self, c: float, tolerance: float, max_passes: int) -> tuple[bool, int]:
        """Whether all folds converged, and the passes that they took together."""
        objective = self._objective(self._sides, c)
        leading = self._directions(objective)
        converged, passes = True, 0
        # The history of a part is gone before the next begins: of all it would be as large as
        # the features where there are many classes.
        for part in torch.split(torch.arange(len(objective)), max(1, COLUMNS // self._targets.k)):
            run = minimise(
                objective.subset(part),
                self._parameters[part],
                leading,
                tolerance,
                max_passes,
                rough=True,
            )
            self._parameters[part] = run.state.parameters.to(self._rows.dtype)
            converged &= bool(run.converged(tolerance).all())
            passes += run.state.passes * len(part)
        return converged, passes

    def refit(
        self, c: float, weight: NDArray[np.float64], tolerance: float, max_passes: int
    ) -> Fit:
        """A fit to all rows, of weights (N,), from the mean of the folds."""
        rows, scaler = self._rows, self._common
        weights = torch.from_numpy(weight[None]).to(rows.device, rows.dtype)
        objective = self._objective(Sides(weights, *scaler_sides(rows, [scaler])), c)
        begin = self._parameters.view(-1, len(objective), *self._parameters.shape[1:]).mean(0)
        leading = self._directions(objective)
        return solved(objective, begin, leading, scaler, tolerance, max_passes)

    def fitted(self) -> _Fitted:
        """What predicts, as it is now."""
        folds = self._parameters.view(-1, self.width, self._rows.d + 1)
        dtype = folds.dtype
        weights = folds[..., :-1] * self._sides.stretch.to(dtype)[:, None]
        shift = self._sides.shift.to(dtype)[:, :, None]
        return _Fitted(self._rows, self._fold, weights, folds[..., -1] - (weights @ shift)[..., 0])

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
