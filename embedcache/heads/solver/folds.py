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
from embedcache.heads.solver.fit import Fit, MakeTargets
from embedcache.heads.solver.group import Fitted, Group
from embedcache.heads.solver.parallel import Workers
from embedcache.heads.solver.rows import Rows
from embedcache.heads.solver.span import into_span
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
    _fitted: list[Fitted]

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


class FoldedFits:
    """Fits at one C after another, each from those at the nearest C below and above.

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
) -> list[Group]:
    """One group of all folds, or one of each where it has fewer training rows than dimensions."""
    n, d = len(features), features.dim
    numbers, sizes = np.unique(folds[folds != NEVER], return_counts=True)
    scalers = Scaler.without_each(features, folds, numbers)
    if n - int(sizes.min()) >= d:
        common = Scaler.of(features)
        targets = make_targets(workers.device, torch.float32)
        rows = Rows(features, common, workers, logits=targets.k)
        return [Group(rows, targets, folds, numbers, weight, scalers, common)]
    groups, raw = [], features.array()
    for fold, scaler in zip(numbers, scalers, strict=True):
        standardised = scaler.apply(raw, np.float64)
        _, basis = into_span(standardised[folds != fold])
        spanned = Features.of((standardised @ basis).astype(np.float32))
        common = Scaler.of(spanned)
        targets = make_targets(workers.device, torch.float32)
        rows = Rows(spanned, common, workers, logits=targets.k)
        own = [Scaler(np.zeros(rows.d), np.ones(rows.d))]
        groups.append(Group(rows, targets, folds, np.array([fold]), weight, own, common))
    return groups
