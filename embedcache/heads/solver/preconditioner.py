"""`TwoLevel`: the Hessian of a softmax regression, in full where it matters most.

P is the number of problems, K the logits of each, D the dimension, R the number
of leading directions. The Hessian of the mean loss is
Σᵢ (diag(pᵢ) − pᵢpᵢᵀ) ⊗ xᵢxᵢᵀ / N. For the first few directions, all classes and the
intercept it is formed and inverted as it is. In the others it is taken for
Ā ⊗ diag(g), where Ā is the mean of diag(p) − ppᵀ and g the variance along each
direction of rows weighed by 1 − Σ p², and the same for all that R leaves out.
Böhning's bound (1992, *Multinomial logistic regression algorithm*) is the special
case in which every pᵢ is uniform and no direction is treated in full.
"""

from __future__ import annotations

import math

import torch

from embedcache.heads.solver.curvature import Curvature
from embedcache.heads.solver.leading import Leading
from embedcache.heads.solver.objective import Objective

__all__ = ["TwoLevel"]

_FULL, _FREE = 512, 128
"""Unknowns of a problem that are treated in full: at most, and where the features are so few
that a pass costs nothing."""

_PASSES = 2  # that forming the full part may cost

_JITTERS = (1e-6, 1e-4, 1e-2)
"""Shares of the curvature that rounding may have taken away, the least that suffices."""


class TwoLevel:
    """The approximate inverse Hessian, applied to gradients of P problems.

    Args:
        objective: The problems.
        leading: Directions, and the rows that curvature is taken over.
        parameters: (P, K, D + 1), where it is taken.
    """

    def __init__(self, objective: Objective, leading: Leading, parameters: torch.Tensor) -> None:
        dtype = parameters.dtype
        self._vectors = leading.vectors.to(dtype)
        k, d = parameters.shape[1], objective.rows.d
        r = self._vectors.shape[1]
        self._full = max(0, min(r, _unknowns(objective, leading) // k - 1))
        curvature = Curvature(objective, leading, parameters, self._full)
        penalty = objective.penalty.to(dtype)[:, None, None]
        values, self._classes = torch.linalg.eigh(curvature.classes.double())
        values, self._classes = values.to(dtype), self._classes.to(dtype)
        values = torch.maximum(values, 1e-4 * values.amax(1, keepdim=True)).clamp_min_(1e-12)
        self._bias_scale = values[:, :, None]
        along = values[:, :, None] * curvature.along[:, None] + penalty
        rest = curvature.rest.clamp_min(0) / max(1, d - r)
        self._rest = values[:, :, None] * rest[:, None, None] + penalty
        # What the leading directions have beyond the rest.
        self._beyond = 1 / along - 1 / self._rest
        self._inverse: torch.Tensor | None = None
        if self._full:
            labels = [torch.nonzero(curvature.group == at) for at in range(len(curvature.full))]
            inverses = torch.stack(
                [
                    _inverse(matrix, float(objective.penalty[same].mean()), k).to(dtype)
                    for matrix, same in zip(curvature.full, labels, strict=True)
                ]
            )
            self._inverse = inverses if len(inverses) == 1 else inverses[curvature.group]

    def __call__(self, gradient: torch.Tensor) -> torch.Tensor:
        """(…, P, K, D + 1), of one gradient or of several."""
        rotated = self._classes.mT @ gradient
        inner, bias = rotated[..., :-1], rotated[..., -1:] / self._bias_scale
        along = inner @ self._vectors
        coordinates = along * self._beyond
        if self._inverse is not None:
            given = along[..., : self._full]
            both = torch.cat([self._classes @ given, gradient[..., -1:]], -1)
            solved = (both.flatten(-2)[..., None, :] @ self._inverse).view(both.shape)
            solved = self._classes.mT @ solved
            coordinates[..., : self._full] = solved[..., :-1] - given / self._rest
            bias = solved[..., -1:]
        inner = inner / self._rest + coordinates @ self._vectors.T
        product: torch.Tensor = self._classes @ torch.cat([inner, bias], -1)
        if product.shape[-2] > 1:
            # All intercepts together change nothing; rounding must not make them drift.
            product[..., -1] -= product[..., -1].mean(-1, keepdim=True)
        return product


def _unknowns(objective: Objective, leading: Leading) -> int:
    """How many to treat in full: forming their matrix is 2 M² operations a row of the sample."""
    rows, columns = objective.rows, len(objective) * objective.targets.k
    sampled = sum(len(seen.along) for seen in leading.sample)
    worth = math.isqrt(2 * _PASSES * rows.n * rows.d * columns // sampled)
    return min(_FULL, max(_FREE, worth))


def _inverse(matrix: torch.Tensor, penalty: float, k: int) -> torch.Tensor:
    """Of a Hessian (M, M) of the loss plus the penalty, which intercepts have not."""
    matrix = matrix.double()
    diagonal = matrix.diagonal().view(k, -1)
    diagonal[:, :-1] += penalty
    diagonal = matrix.diagonal().clone()
    for share in _JITTERS:
        matrix.diagonal().copy_(diagonal + share * (diagonal + diagonal.mean()))
        triangle, failed = torch.linalg.cholesky_ex(matrix)
        if not failed:
            return torch.cholesky_inverse(triangle)
    return torch.diag(1 / diagonal.clamp_min(1e-12))
