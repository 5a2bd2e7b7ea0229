"""`Curvature`: moments of diag(p) − ppᵀ and of rows, over a sample of them.

P is the number of problems, K the logits of each, R the number of leading
directions, F of those that are treated in full, M = K · (F + 1), L the number
of different labels among the problems: 1 for a softmax.
"""

from __future__ import annotations

import torch

from embedcache.heads.solver.leading import Leading, Seen
from embedcache.heads.solver.objective import Objective

__all__ = ["Curvature"]

_LEAST = 0.01
"""Share of the mean curvature that every row has at least: directions that only sure rows have
are not flat, for the next step may make them unsure."""


class Curvature:
    """Weighted means at some parameters.

    Args:
        objective: The problems.
        leading: The rows.
        parameters: (P, K, D + 1).
        full: F, 0 for none.

    Attributes:
        classes: (P, K, K), of diag(p) − ppᵀ.
        along: (P, R), variance along each direction, of rows weighed by their curvature.
        rest: (P,), the same summed over all other directions.
        full: (L, M, M), the Hessian of the loss by K · F weights and K intercepts, those of each
            class together; the intercepts' is zero where there are none. One for all folds:
            with one for each, ELPV took as many passes.
        group: (P,) int64, its row of `full`.
    """

    def __init__(
        self, objective: Objective, leading: Leading, parameters: torch.Tensor, full: int
    ) -> None:
        p, k = parameters.shape[:2]
        dtype, device = parameters.dtype, parameters.device
        labels, self.group = torch.unique(objective.label, return_inverse=True)
        size = full + 1 if full else 0
        self.classes = torch.zeros(p, k, k, dtype=dtype, device=device)
        self.along = torch.zeros(p, leading.vectors.shape[1], dtype=dtype, device=device)
        self.rest = torch.zeros(p, dtype=dtype, device=device)
        self.full = torch.zeros(len(labels), k * size, k * size, dtype=dtype, device=device)
        self._plain = torch.zeros(len(labels), size, size, dtype=dtype, device=device)
        self._objective = objective
        curved = torch.full((p,), 1e-30, dtype=dtype, device=device)
        total = torch.full((p,), 1e-30, dtype=dtype, device=device)
        for seen in leading.sample:
            chance = objective.probabilities(parameters, seen.rows)
            weight = objective.sides.weights[:, seen.rows][objective.fold].to(dtype)
            curved += self._add(chance, weight, seen)
            total += weight.sum(1)
            if full:
                self._add_full(chance, weight, seen.along[:, :full].to(dtype))
        self.along /= curved[:, None]
        self.rest /= curved
        self.classes /= total[:, None, None]
        if full:
            self._finish(total)

    def _add(self, chance: torch.Tensor, weight: torch.Tensor, seen: Seen) -> torch.Tensor:
        """Sums over some rows; returns that of their curvature, (P,)."""
        weighed = chance * weight[:, None]
        self.classes += torch.diag_embed(weighed.sum(2)) - weighed @ chance.mT
        softmax = self._objective.targets.is_softmax
        spread = 1 - chance.square().sum(1) if softmax else (chance * (1 - chance))[:, 0]
        spread = (spread + _LEAST * spread.mean(1, keepdim=True)) * weight
        along = seen.along.to(spread.dtype).square()
        self.along += spread @ along
        self.rest += spread @ (seen.squares.to(spread.dtype) - along.sum(1))
        return spread.sum(1)

    def _add_full(self, chance: torch.Tensor, weight: torch.Tensor, along: torch.Tensor) -> None:
        """Of some rows by their coordinates along F directions, (n, F)."""
        weights = weight.new_zeros(len(self.full), weight.shape[1])
        weights.index_add_(0, self.group, weight)
        chances = chance.new_zeros(len(self.full), *chance.shape[1:])
        chances.index_add_(0, self.group, chance * weight[:, None])
        chances /= weights[:, None].clamp_min(1e-30)
        ones = torch.full_like(along[:, :1], float(self._objective.intercept))
        rows = torch.cat([along, ones], 1)

        def share(labels: list[int]) -> None:
            for at in labels:
                if chances.shape[1] == 1:
                    spread = chances[at, 0] * (1 - chances[at, 0])
                    spread = (spread + _LEAST * spread.mean()) * weights[at]
                    self.full[at].addmm_(rows.T * spread, rows)
                else:
                    self._plain[at].addmm_(rows.T * weights[at], rows)
                    _add_outer(self.full[at], chances[at], weights[at], rows)

        self._objective.rows.workers.share(share, list(range(len(self.full))))

    def _finish(self, total: torch.Tensor) -> None:
        """Sums become means, with the least curvature that every row has."""
        labels, size, k = len(self.full), self._plain.shape[1], self.classes.shape[1]
        totals = total.new_zeros(labels).index_add_(0, self.group, total)
        self.full /= totals[:, None, None]
        if k == 1:
            return
        shares = (total / totals[self.group])[:, None, None]
        classes = self.classes.new_zeros(labels, k, k)
        classes.index_add_(0, self.group, self.classes * shares)
        plain = self._plain * (_LEAST / totals)[:, None, None]
        least = torch.einsum("lij,lab->liajb", classes, plain)
        self.full += least.reshape(labels, k * size, k * size)


def _add_outer(
    full: torch.Tensor, chance: torch.Tensor, weight: torch.Tensor, rows: torch.Tensor
) -> None:
    """Σ w (diag(p) − ppᵀ) ⊗ xxᵀ for p (K, n) and rows (n, F + 1)."""
    columns = rows.T.contiguous()
    outer = ((chance * weight.sqrt())[:, None] * columns).view(len(full), -1)
    full.addmm_(outer, outer.T, alpha=-1)
    size = len(columns)
    for number, each in enumerate(chance):
        own = slice(number * size, (number + 1) * size)
        full[own, own].addmm_(columns * (each * weight), rows)
