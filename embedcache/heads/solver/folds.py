"""`FoldGroup`: fits of several C on folds that share one matrix of features.

N is the number of rows, D the dimension, K the number of classes, F the number
of folds of the group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from embedcache.heads.solver.fit import COLUMNS, MakeTargets, into_span, scaler_sides
from embedcache.heads.solver.lbfgs import Lbfgs
from embedcache.heads.solver.minimise import Minimiser
from embedcache.heads.solver.objective import Objective, Sides
from embedcache.heads.solver.parallel import Workers
from embedcache.heads.solver.preconditioner import Gram
from embedcache.heads.solver.rows import Rows, fits_in_memory
from embedcache.heads.standardise import Scaler

__all__ = ["FoldGroup", "fold_groups"]


def fold_groups(
    features: NDArray[np.floating],
    make_targets: MakeTargets,
    folds: NDArray[np.integer],
    scalers: Sequence[Scaler] | None,
    weight: NDArray[np.float64],
    workers: Workers,
) -> list[FoldGroup]:
    """One group of all folds, or one of each where it has fewer training rows than dimensions."""
    n, d = features.shape
    numbers = np.unique(folds)
    if scalers is None:
        scalers = [Scaler.fit(features[folds != fold]) for fold in numbers]
    most = n - int(np.bincount(folds).min())
    if most >= d:
        rows = Rows(features, Scaler.fit(features), workers, in_memory=fits_in_memory(n * d))
        return [FoldGroup(rows, make_targets, folds, numbers, list(scalers), weight, None)]
    groups = []
    for fold, scaler in zip(numbers, scalers, strict=True):
        standardised = scaler.apply(features, np.float64)
        _, basis = into_span(standardised[folds != fold])
        spanned = (standardised @ basis).astype(np.float32)
        rows = Rows(spanned, Scaler.fit(spanned), workers)
        groups.append(
            FoldGroup(rows, make_targets, folds, np.array([fold]), [scaler], weight, basis)
        )
    return groups


class FoldGroup:
    """Folds over one `Rows`.

    Args:
        rows: Features, of all folds.
        make_targets: Makes the targets.
        folds: (N,) fold of each row.
        numbers: (F,) the folds of this group.
        scalers: F.
        weight: (N,) sample weights.
        basis: (D, r) if the rows are scaled already and written in this basis.
    """

    def __init__(
        self,
        rows: Rows,
        make_targets: MakeTargets,
        folds: NDArray[np.integer],
        numbers: NDArray[np.integer],
        scalers: list[Scaler],
        weight: NDArray[np.float64],
        basis: NDArray[np.floating] | None,
    ) -> None:
        self.rows, self._scalers, self._basis, device = rows, scalers, basis, rows.device
        self.targets = make_targets(device, rows.dtype)
        self._fold = torch.from_numpy(np.searchsorted(numbers, folds))
        member = np.isin(folds, numbers)
        self._fold[torch.from_numpy(~member)] = -1
        self.held_out = np.flatnonzero(member)
        weights = torch.from_numpy(np.where(folds == numbers[:, None], 0.0, weight))
        self._local = scalers if basis is None else [Scaler(np.zeros(rows.d), np.ones(rows.d))]
        self._sides = Sides(weights.to(device, rows.dtype), *scaler_sides(rows, self._local))
        self._gram: Gram | None = None
        self._chunks: list[_Chunk] = []
        self._settled: dict[int, torch.Tensor] = {}

    def __len__(self) -> int:
        return len(self._scalers)

    def begin(self, batch: list[int], cs: NDArray[np.float64], below: int | None) -> None:
        """Add C number `batch[i]` = `cs[i]`, starting where C number `below` is."""
        folds, labels = len(self), self.targets.labels
        number = torch.tensor(batch).repeat_interleave(folds * labels)
        fold = torch.arange(folds).repeat_interleave(labels).repeat(len(batch))
        label = torch.arange(labels).repeat(folds * len(batch))
        c = torch.from_numpy(cs).repeat_interleave(folds * labels)
        objective = self._objective(c, fold, label)
        if self._gram is None:
            self._gram = Gram.of(objective)
        start = objective.start()
        if below is not None:
            start = self._parameters(below).repeat(len(batch), 1, 1)
        size = max(1, COLUMNS // self.targets.k)
        for part in torch.split(torch.arange(len(c)), size):
            state = Lbfgs(objective.subset(part), start[part], _memory(self.targets.k))
            self._chunks.append(_Chunk(number[part], Minimiser(state, self._gram)))

    def run(self, which: list[int], passes: int, tolerance: float) -> NDArray[np.bool_]:
        """At most so many passes; whether all folds of each of these C have converged."""
        done = dict.fromkeys(which, True)
        for chunk in self._chunks:
            if not set(chunk.number.tolist()) & set(which):
                continue
            converged = chunk.run.run(passes, tolerance).tolist()
            for number, problem in zip(chunk.number.tolist(), converged, strict=True):
                done[number] = done.get(number, True) and problem
        return np.array([done[number] for number in which])

    def forget(self) -> None:
        """Free the memory of past steps."""
        for chunk in self._chunks:
            chunk.run.state.forget()

    def settle(self, which: list[int]) -> None:
        """Keep the parameters of these C, and work on them no more."""
        for number in which:
            if number not in self._settled:
                self._settled[number] = self._parameters(number)
        self._remove(which)

    def drop(self, which: list[int]) -> None:
        """Forget these C."""
        for number in which:
            self._settled.pop(number, None)
        self._remove(which)

    def held_out_losses(
        self, which: list[int]
    ) -> dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Log-loss and error, each (rows of `held_out`,) float64, of each of these C."""
        count, labels = len(which), self.targets.labels
        parameters = torch.stack([self._parameters(number) for number in which])
        parameters = parameters.view(count, len(self), labels, *parameters.shape[2:])
        label = torch.arange(labels).repeat(count)
        result = torch.zeros(2, count, self.rows.n, dtype=torch.float64)

        def share(blocks: list[slice]) -> None:
            for block in blocks:
                x, fold = self.rows.block(block), self._fold[block]
                for at in np.unique(fold.numpy()).tolist():
                    if at < 0:
                        continue
                    inside = torch.nonzero(fold == at)[:, 0]
                    objective = self._objective(
                        torch.ones(len(label), dtype=torch.float64),
                        torch.full_like(label, at),
                        label,
                    )
                    logits = objective.logits(parameters[:, at].flatten(0, 1), x[inside])
                    rows = inside + block.start
                    wrong = self.targets.wrong(logits, rows, label)
                    losses = objective.row_losses(logits, rows)
                    both = torch.stack([losses.double(), wrong.double()])
                    result[:, :, rows] = both.view(2, count, labels, -1).mean(2).cpu()

        self.rows.workers.share(share, self.rows.blocks)
        log_loss, wrong = result[:, :, torch.from_numpy(self.held_out)].numpy()
        return {number: (log_loss[i], wrong[i]) for i, number in enumerate(which)}

    def probabilities(self, number: int) -> NDArray[np.float32]:
        """(rows of `held_out`, K), or (…, L) if multilabel: out of fold."""
        labels = torch.arange(self.targets.labels)
        parameters = self._parameters(number).view(len(self), len(labels), self.targets.k, -1)
        outputs = []
        for block in self.rows.blocks:
            x, fold = self.rows.block(block), self._fold[block]
            member = torch.nonzero(fold >= 0)[:, 0]
            output = torch.zeros(len(x), len(labels) * self.targets.k)
            for at in np.unique(fold[member].numpy()).tolist():
                inside = torch.nonzero(fold == at)[:, 0]
                objective = self._objective(
                    torch.ones(len(labels), dtype=torch.float64),
                    torch.full_like(labels, at),
                    labels,
                )
                logits = objective.logits(parameters[at], x[inside])
                soft = logits.softmax(1) if self.targets.is_softmax else logits.sigmoid()
                output[inside] = soft.flatten(0, 1).T.cpu().float()
            outputs.append(output[member])
        result = torch.cat(outputs).numpy()
        if self.targets.is_binary:
            return np.concatenate([1 - result, result], axis=1)
        return result

    def raw_weights(self, number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sum over the folds of weights (L · K, D) and intercepts (L · K,) for raw features."""
        parameters = self._parameters(number).double().cpu().numpy()
        folds = parameters.reshape(len(self), -1, self.rows.d + 1)
        both = []
        for fold, scaler in zip(folds, self._scalers, strict=True):
            weights = fold[:, :-1] if self._basis is None else fold[:, :-1] @ self._basis.T
            both.append(scaler.fold(weights, fold[:, -1]))
        return np.sum([w for w, _ in both], axis=0), np.sum([b for _, b in both], axis=0)

    def _objective(self, c: torch.Tensor, fold: torch.Tensor, label: torch.Tensor) -> Objective:
        device = self.rows.device
        return Objective(
            self.rows,
            self.targets,
            self._sides,
            c.to(device),
            fold.to(device),
            label.to(device),
            intercept=True,
            dtype=self.rows.dtype,
        )

    def _parameters(self, number: int) -> torch.Tensor:
        """(F · L, K, D + 1), the folds' in order."""
        if number in self._settled:
            return self._settled[number]
        parts = [c.run.state.parameters[c.number == number] for c in self._chunks]
        return torch.cat(parts)

    def _remove(self, which: list[int]) -> None:
        gone = torch.tensor(which, dtype=torch.int64)
        for chunk in self._chunks:
            left = torch.nonzero(~torch.isin(chunk.number, gone))[:, 0]
            if len(left) < len(chunk.number):
                chunk.number = chunk.number[left]
                chunk.run.keep(left)
        self._chunks = [chunk for chunk in self._chunks if len(chunk.number)]


@dataclass(eq=False)
class _Chunk:
    """Problems that are solved together, and the number of each one's C."""

    number: torch.Tensor
    run: Minimiser


def _memory(k: int) -> int:
    """Steps to remember: fewer for many classes, where they are large."""
    return 10 if k <= COLUMNS else 6
