"""`select_path`: out-of-fold losses of every C, with no more work than the choice needs.

N is the number of rows, D the dimension, K the number of classes, F the number
of folds, L the number of labels of a multilabel problem (else 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from embedcache.errors import UsageError
from embedcache.heads.solver.fit import COLUMNS, MakeTargets
from embedcache.heads.solver.folds import FoldGroup, fold_groups
from embedcache.heads.solver.parallel import Workers
from embedcache.heads.standardise import Scaler

__all__ = ["METRICS", "Path", "select_path"]

METRICS = ("log_loss", "accuracy", "balanced_accuracy")

_STAGE = 15
"""Passes between two looks at the held-out rows: from pass 10 on they rank C as at the end."""

_HOPELESS = 2.0
"""Paired standard errors above the best loss from which a C is dropped."""

_PROMISE = 2.0
"""How many times its last fall a held-out loss is expected to fall yet. Without this digits lost
C = 10: 0.142 after 15 passes, 0.121 after 30 and, at the end, 0.107, the best of all."""


@dataclass(frozen=True, eq=False)
class Path:
    """What became of each C.

    Attributes:
        cs: (n,) C, ascending.
        losses: (n, N) float64 loss of each row by the model that has not seen it, of the
            metric; where a C was dropped, of its last state; NaN where it was never tried.
        log_losses: (n, N) likewise, log-loss.
        dropped: (n,) whether it was given up as worse.
        converged: (n,) whether all folds reached the tolerance.
        passes: (n,) over the rows of all folds.
        best: Index of the smallest mean loss.
        probabilities: (N, K), or (N, L) if multilabel, float32: out of fold, of the best C.
        start: Mean weights (L · K, D) and intercepts over the folds for raw features of the
            best C: where a fit to all rows starts well.
    """

    cs: NDArray[np.float64]
    losses: NDArray[np.float64]
    log_losses: NDArray[np.float64]
    dropped: NDArray[np.bool_]
    converged: NDArray[np.bool_]
    passes: NDArray[np.int64]
    best: int
    probabilities: NDArray[np.float32]
    start: tuple[NDArray[np.float64], NDArray[np.float64]]


def select_path(
    features: NDArray[np.floating],
    make_targets: MakeTargets,
    folds: NDArray[np.integer],
    cs: Sequence[float],
    *,
    scalers: Sequence[Scaler] | None = None,
    sample_weight: NDArray[np.float64] | None = None,
    metric: str = "log_loss",
    tolerance: float = 1e-5,
    max_passes: int = 300,
    device: str = "cpu",
) -> Path:
    """Solve for all C × folds, dropping each C as soon as it has no chance.

    C go up in batches of up to 512 weight vectors, each batch starting where the largest C of
    the last ended. After 15 passes, and after every 15 more, a C whose held-out
    loss is above the best by more than two paired standard errors, and by more than it still
    promises to fall, is dropped; if that is the largest so far, all that are larger still are
    never tried.

    Args:
        features: (N, D).
        make_targets: Makes the targets on a device in a dtype.
        folds: (N,) fold of each row, 0 to F − 1.
        cs: C, each above 0.
        scalers: Of each fold's training rows; by default fitted here.
        sample_weight: (N,).
        metric: One of `METRICS`: what a C is dropped by.
        tolerance: Estimated gap to the optimum, relative to the objective, where a fit ends.
        max_passes: For any C.
        device: Where, such as `cpu` or `cuda`.

    Raises:
        UsageError: Unknown metric, or a C that is not above 0.
    """
    if metric not in METRICS:
        raise UsageError("unknown metric", got=metric, expected=", ".join(METRICS))
    ascending = np.unique(np.asarray(cs, np.float64))
    if not len(ascending) or not (ascending[0] > 0 and np.isfinite(ascending[-1])):
        raise UsageError("C must be above 0 and finite", got=cs, expected="such as 0.01, 0.1")
    weight = np.ones(len(features)) if sample_weight is None else sample_weight
    with Workers(torch.device(device)) as workers:
        groups = fold_groups(features, make_targets, folds, scalers, weight, workers)
        walk = _Walk(ascending, groups, weight, metric, tolerance, max_passes)
        walk.up()
        walk.finish()
        return walk.path()


class _Walk:
    def __init__(
        self,
        cs: NDArray[np.float64],
        groups: list[FoldGroup],
        weight: NDArray[np.float64],
        metric: str,
        tolerance: float,
        max_passes: int,
    ) -> None:
        self.cs, self.groups, self.weight, self.metric = cs, groups, weight, metric
        self.tolerance, self.max_passes = tolerance, max_passes
        n, rows = len(cs), len(weight)
        classes = groups[0].targets.classes().cpu().numpy()
        count = np.bincount(classes)
        self.balance = (rows / (np.count_nonzero(count) * np.maximum(count, 1)))[classes]
        self.losses = np.full((n, rows), np.nan)
        self.log_losses = np.full((n, rows), np.nan)
        self.dropped = np.zeros(n, np.bool_)
        self.converged = np.zeros(n, np.bool_)
        self.passes = np.zeros(n, np.int64)
        self.share = weight / weight.sum()
        self.fall = np.zeros(n)

    def up(self) -> None:
        """One stage for every C from below, until larger ones have no chance."""
        targets = self.groups[0].targets
        columns = targets.k * targets.labels * sum(len(group) for group in self.groups)
        size = max(1, COLUMNS // columns)
        below: int | None = None
        for at in range(0, len(self.cs), size):
            batch = list(range(at, min(at + size, len(self.cs))))
            for group in self.groups:
                group.begin(batch, self.cs[batch], below)
            self._stage(batch, _STAGE // 2)
            self._stage(batch, _STAGE - _STAGE // 2)
            # History is worth its memory only where it is small.
            if len(batch) < len(self.cs):
                for group in self.groups:
                    group.forget()
            below = batch[-1]
            self._drop(keep=below)
            if self._hopeless(below):
                self.dropped[below + 1 :] = True
                break
        self._drop()

    def finish(self) -> None:
        """Stages for the C that are left until each has converged."""
        while True:
            left = np.flatnonzero(
                ~self.dropped & ~self.converged & (self.passes < self.max_passes)
            ).tolist()
            if not left:
                break
            self._stage(left, _STAGE)
            self._drop()

    def path(self) -> Path:
        best = self._best()
        probabilities = np.concatenate([g.probabilities(best) for g in self.groups])
        order = np.concatenate([g.held_out for g in self.groups])
        starts = [group.raw_weights(best) for group in self.groups]
        folds = sum(len(group) for group in self.groups)
        out_of_fold = np.empty_like(probabilities)
        out_of_fold[order] = probabilities
        return Path(
            self.cs,
            self.losses,
            self.log_losses,
            self.dropped,
            self.converged,
            self.passes,
            best,
            out_of_fold,
            (
                np.sum([w for w, _ in starts], axis=0) / folds,
                np.sum([b for _, b in starts], axis=0) / folds,
            ),
        )

    def _stage(self, which: list[int], passes: int) -> None:
        before = self.losses[which] @ self.share
        converged = np.ones(len(which), np.bool_)
        for group in self.groups:
            converged &= group.run(which, passes, self.tolerance)
            for c, (log_loss, wrong) in group.held_out_losses(which).items():
                rows = group.held_out
                self.log_losses[c, rows] = log_loss
                self.losses[c, rows] = log_loss if self.metric == "log_loss" else wrong
        self.converged[which] = converged
        self.passes[which] += passes
        settled = np.flatnonzero(self.converged).tolist()
        for group in self.groups:
            group.settle(settled)
        if self.metric == "balanced_accuracy":
            self.losses[which] *= self.balance
        self.fall[which] = np.nan_to_num(before - self.losses[which] @ self.share)

    def _best(self) -> int:
        tried = np.where(np.isnan(self.losses[:, 0]), np.inf, self.losses @ self.share)
        tried[self.dropped] = np.inf
        return int(tried.argmin())

    def _drop(self, keep: int | None = None) -> None:
        """Give up each C that is worse than the best; `keep` stays, as the next batch's start."""
        for c in range(len(self.cs)):
            if not self.dropped[c] and not np.isnan(self.losses[c, 0]) and self._hopeless(c):
                self.dropped[c] = c != keep
        for group in self.groups:
            group.drop(np.flatnonzero(self.dropped).tolist())

    def _hopeless(self, c: int) -> bool:
        difference = self.losses[c] - self.losses[self._best()]
        mean = float(self.share @ difference)
        error = float(np.sqrt(np.square(self.share * (difference - mean)).sum()))
        promised = 0.0 if self.converged[c] else _PROMISE * max(0.0, float(self.fall[c]))
        return mean - promised > _HOPELESS * error
