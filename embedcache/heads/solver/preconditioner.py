"""`Kronecker`: the Hessian of a softmax regression as (mean of diag(p) − ppᵀ) ⊗ Gram matrix.

P is the number of problems, K the logits of each, D the dimension. The Hessian
of the mean loss is Σᵢ (diag(pᵢ) − pᵢpᵢᵀ) ⊗ xᵢxᵢᵀ / N; with the mean of either
factor in place of each row's it is inverted by two small eigenproblems. Böhning's
bound (1992, *Multinomial logistic regression algorithm*) is the special case in
which every pᵢ is uniform; L-BFGS needed twice the passes with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from embedcache.heads.solver.objective import Objective

__all__ = ["Gram", "Kronecker"]

_SAMPLE_BLOCKS = 8  # of rows that the mean of diag(p) − ppᵀ is taken over

# The Gram matrix of all rows would often cost more than it saves: D / (2 M) passes.
_GRAM_ROWS = 4  # times D, at least
_GRAM_PASSES = 4  # may be spent on it

_COLUMNS = 32  # that a thread takes at a time


@dataclass(frozen=True, eq=False)
class Gram:
    """Eigenvalues (D,) and eigenvectors (D, D) in columns of a Gram matrix."""

    values: torch.Tensor
    vectors: torch.Tensor

    @classmethod
    def of(cls, objective: Objective) -> Gram:
        """Of the mean over all problems' scalers and training rows."""
        sides = objective.sides
        weights = sides.weights.sum(0)
        stretch = sides.stretch.mean(0).to(objective.rows.dtype)
        shift = sides.shift.mean(0).to(objective.rows.dtype)
        columns = len(objective) * objective.targets.k
        d = objective.rows.d
        matrix = objective.rows.covariance(
            weights, max(_GRAM_ROWS * d, _GRAM_PASSES * objective.rows.n * 2 * columns // d)
        )
        mean = objective.rows.mean_of(weights)
        matrix += torch.outer(shift, shift) - torch.outer(mean, shift) - torch.outer(shift, mean)
        matrix *= torch.outer(stretch, stretch)
        values, vectors = torch.linalg.eigh(matrix)
        return cls(values.clamp_min_(0), vectors)


class Kronecker:
    """The inverse of Ā ⊗ G + λ, applied to gradients of P problems.

    Args:
        objective: The problems.
        gram: G.
        parameters: (P, K, D + 1), where Ā is taken.
    """

    def __init__(self, objective: Objective, gram: Gram, parameters: torch.Tensor) -> None:
        self._vectors = gram.vectors.to(parameters.dtype)
        self._workers = objective.rows.workers
        curvature = _mean_curvature(objective, parameters)
        values, self._classes = torch.linalg.eigh(curvature)
        values = values.clamp_min(0).to(parameters.dtype)
        self._classes = self._classes.to(parameters.dtype)
        values = torch.maximum(values, 1e-4 * values.amax(1, keepdim=True)).clamp_min_(1e-12)
        penalty = objective.penalty.to(parameters.dtype)
        self._scale = values[:, :, None] * gram.values.to(parameters.dtype) + penalty[:, None, None]
        self._bias_scale = values

    def __call__(self, gradient: torch.Tensor) -> torch.Tensor:
        """(P, K, D + 1)."""
        rotated = self._classes.mT @ gradient
        p, k, _ = rotated.shape

        def share(columns: list[slice]) -> None:
            for part in columns:
                inner = (flat[part] @ self._vectors).div_(scale[part])
                flat[part] = inner @ self._vectors.T

        flat = rotated[..., :-1].reshape(p * k, -1)
        scale = self._scale.view(p * k, -1)
        self._workers.share(share, [slice(i, i + _COLUMNS) for i in range(0, p * k, _COLUMNS)])
        bias = rotated[..., -1:] / self._bias_scale[..., None]
        product: torch.Tensor = self._classes @ torch.cat([flat.view(p, k, -1), bias], 2)
        return product


def _mean_curvature(objective: Objective, parameters: torch.Tensor) -> torch.Tensor:
    """(P, K, K) float64: the weighted mean of diag(p) − ppᵀ over a sample of the rows."""
    blocks = objective.rows.blocks
    k = parameters.shape[1]
    total = torch.zeros(len(objective), k, k, dtype=torch.float64, device=parameters.device)
    weights = torch.zeros(len(objective), dtype=torch.float64, device=parameters.device)
    for rows in blocks[:: -(-len(blocks) // _SAMPLE_BLOCKS)]:
        p = objective.logits(parameters, objective.rows.block(rows, parameters.dtype))
        p = p.softmax(1) if objective.targets.is_softmax else p.sigmoid()
        row_weight = objective.sides.weights[:, rows][objective.fold].to(p.dtype)
        weighted = p * row_weight[:, None]
        total += torch.diag_embed(weighted.sum(2)) - weighted @ p.mT
        weights += row_weight.sum(1)
    return total / weights.clamp_min(1e-300)[:, None, None]
