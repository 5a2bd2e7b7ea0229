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
from embedcache.heads.features import Features
from embedcache.heads.solver.fit import COLUMNS, MakeTargets, into_span, scaler_sides
from embedcache.heads.solver.leading import Leading
from embedcache.heads.solver.minimise import minimise
from embedcache.heads.solver.objective import Objective, Sides
from embedcache.heads.solver.parallel import Workers
from embedcache.heads.solver.rows import Rows
from embedcache.heads.standardise import Scaler

__all__ = ["FoldedFits", "OutOfFold"]


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Logits of every row by the fit that has not seen it.

    Attributes:
        logits: (N, K) float32; (N, 1) for two classes; 0 for a row that no fold holds out.
        converged: Whether every fold reached the tolerance.
        passes: Over the rows, by all folds together.
    """

    logits: NDArray[np.float32]
    converged: bool
    passes: int


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
            counts = np.ones(self._n) if weight is None else weight
            self._groups = _groups(features, make_targets, folds, counts, self._workers)

    def at(self, c: float, *, tolerance: float, max_passes: int) -> OutOfFold:
        """Fit every fold at C until the estimated gap is ≤ tolerance · objective."""
        converged, passes = True, 0
        logits = np.zeros((self._n, self._groups[0].width), np.float32)
        with self._workers:
            for group in self._groups:
                done, used = group.solve(c, tolerance, max_passes)
                converged, passes = converged and done, passes + used
                group.write(logits)
        return OutOfFold(logits, converged, passes)


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
        rows = Rows(features, Scaler.of(features), workers)
        return [_Group(rows, make_targets, folds, numbers, weight, scalers)]
    groups, raw = [], features.array()
    for fold, scaler in zip(numbers, scalers, strict=True):
        standardised = scaler.apply(raw, np.float64)
        _, basis = into_span(standardised[folds != fold])
        spanned = Features.of((standardised @ basis).astype(np.float32))
        rows = Rows(spanned, Scaler.of(spanned), workers)
        unscaled = Scaler(np.zeros(rows.d), np.ones(rows.d))
        groups.append(_Group(rows, make_targets, folds, np.array([fold]), weight, [unscaled]))
    return groups


class _Group:
    """F folds over one `Rows`; `width` is the number of logits of a row, L · K."""

    def __init__(
        self,
        rows: Rows,
        make_targets: MakeTargets,
        folds: NDArray[np.integer],
        numbers: NDArray[np.integer],
        weight: NDArray[np.float64],
        scalers: list[Scaler],
    ) -> None:
        self._rows, device = rows, rows.device
        self._targets = make_targets(device, rows.dtype)
        self.width = self._targets.labels * self._targets.k
        member = np.isin(folds, numbers)
        self._fold = np.where(member, np.searchsorted(numbers, folds), -1)
        weights = torch.from_numpy(np.where(folds != numbers[:, None], weight, 0.0))
        self._sides = Sides(weights.to(device, rows.dtype), *scaler_sides(rows, scalers))
        self._leading: Leading | None = None
        shape = (len(numbers) * self._targets.labels, self._targets.k, rows.d + 1)
        self._parameters = torch.zeros(shape, dtype=rows.dtype, device=device)

    def solve(self, c: float, tolerance: float, max_passes: int) -> tuple[bool, int]:
        """Whether all folds converged, and the passes that they took together."""
        count, labels = len(self._parameters), self._targets.labels
        device = self._rows.device
        objective = Objective(
            self._rows,
            self._targets,
            self._sides,
            torch.full((count,), c, dtype=torch.float64, device=device),
            torch.arange(count, device=device) // labels,
            torch.arange(count, device=device) % labels,
            intercept=True,
            dtype=self._rows.dtype,
        )
        if self._leading is None:
            self._leading = Leading.of(objective)
        converged, passes = True, 0
        # The history of a part is gone before the next begins: of all it would be as large as
        # the features where there are many classes.
        for part in torch.split(torch.arange(count), max(1, COLUMNS // self._targets.k)):
            run = minimise(
                objective.subset(part),
                self._parameters[part],
                self._leading,
                tolerance,
                max_passes,
                rough=True,
            )
            self._parameters[part] = run.state.parameters.to(self._rows.dtype)
            converged &= bool(run.converged(tolerance).all())
            passes += run.state.passes * len(part)
        return converged, passes

    def write(self, logits: NDArray[np.float32]) -> None:
        """Fill in the rows, of (N, L · K), that any fold holds out."""
        folds = self._parameters.view(-1, self.width, self._rows.d + 1)
        for block in self._rows.blocks:
            x, fold = self._rows.block(block), self._fold[block]
            for at in np.unique(fold[fold >= 0]).tolist():
                inside = np.flatnonzero(fold == at)
                weights = folds[at, :, :-1] * self._sides.stretch[at].to(x.dtype)
                bias = folds[at, :, -1] - weights @ self._sides.shift[at].to(x.dtype)
                part = torch.addmm(bias, x[torch.from_numpy(inside).to(x.device)], weights.T)
                logits[block.start + inside] = part.cpu().numpy()
