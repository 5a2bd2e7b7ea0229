"""Newton's method for squared hinge losses, all one-against-the-rest problems at once.

N is the number of training rows, D of their columns, K of problems.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Solution", "minimise"]

Matrix = NDArray[np.float64]

_ARMIJO, _HALVINGS = 1e-4, 30
_INEXACT, _MAX_CG = 0.1, 200
"""How much of a gradient a Newton step may leave, and where its conjugate gradients end."""


@dataclass(frozen=True, eq=False)
class Solution:
    """Where the solver stopped.

    Attributes:
        weights: (D, K) float64.
        converged: Whether every problem reached the tolerance.
        iterations: Newton steps of the problem that took most.
    """

    weights: Matrix
    converged: bool
    iterations: int


def minimise(
    rows: Matrix,
    squares: NDArray[np.float64],
    signs: Matrix,
    costs: Matrix,
    start: Matrix,
    *,
    tolerance: float,
    max_iterations: int,
) -> Solution:
    """Minimise ½ ‖w‖² + Σ c max(0, 1 − y xᵀw)² for each column of signs.

    Keerthi & DeCoste (2005), *A modified finite Newton method for fast solution of large
    scale linear SVMs*: the loss is quadratic as long as the same rows lie within the margin,
    so that Newton's method ends after a few steps. The problems share every product with
    the rows; one that has converged leaves.

    Args:
        rows: (N, D), in the eigenbasis of their Gram matrix.
        squares: (D,), its eigenvalues: the squared lengths of the columns of `rows`.
        signs: (N, K) of ±1.
        costs: (N, 1), c of each row.
        start: (D, K) to begin at.
        tolerance: As liblinear's: of the gradient's length against that at 0, times the
            share of the rarer sign.
        max_iterations: Newton steps.
    """
    weights = start.copy()
    scores = rows @ weights
    share = np.minimum((signs > 0).mean(axis=0), (signs < 0).mean(axis=0))
    limit = 2 * tolerance * share * np.linalg.norm(rows.T @ (costs * signs), axis=0)
    for iteration in range(max_iterations + 1):
        slack = np.maximum(1 - signs * scores, 0)
        gradient = weights - 2 * (rows.T @ (costs * signs * slack))
        lengths = np.linalg.norm(gradient, axis=0)
        left = np.flatnonzero(lengths > limit)
        if not len(left) or iteration == max_iterations:
            break
        if len(left) < len(limit):
            slack, gradient = slack[:, left], gradient[:, left]
        step = _newton_step(rows, squares, costs * (slack > 0), gradient, limit[left])
        change = rows @ step
        length = _line_search(
            weights[:, left], scores[:, left], signs[:, left], costs, gradient, step, change
        )
        weights[:, left] += length * step
        scores[:, left] += length * change
    return Solution(weights, not len(left), iteration)


def _newton_step(
    rows: Matrix,
    squares: NDArray[np.float64],
    pull: Matrix,
    gradient: Matrix,
    limit: NDArray[np.float64],
) -> Matrix:
    """−H⁻¹g of each problem by conjugate gradients, (D, K); H = I + 2 Xᵀ diag(pull) X.

    A row pulls with its cost within the margin, and not at all outside. Were those within a
    fair sample of all, H would be diagonal in this basis: that is the preconditioner.
    """
    curvature = 1 + 2 * squares[:, None] * pull.mean(axis=0)
    residual = -gradient
    goal = np.maximum(limit / 2, _INEXACT * np.linalg.norm(residual, axis=0))
    step = np.zeros_like(residual)
    preconditioned = residual / curvature
    direction = preconditioned.copy()
    product = (residual * preconditioned).sum(axis=0)
    for _ in range(_MAX_CG):
        bent = direction + 2 * (rows.T @ (pull * (rows @ direction)))
        along = product / np.maximum((direction * bent).sum(axis=0), np.finfo(float).tiny)
        step += along * direction
        residual -= along * bent
        if np.all(np.linalg.norm(residual, axis=0) <= goal):
            break
        preconditioned = residual / curvature
        last, product = product, (residual * preconditioned).sum(axis=0)
        direction *= product / np.maximum(last, np.finfo(float).tiny)
        direction += preconditioned
    return step


def _line_search(
    weights: Matrix,
    scores: Matrix,
    signs: Matrix,
    costs: Matrix,
    gradient: Matrix,
    step: Matrix,
    change: Matrix,
) -> NDArray[np.float64]:
    """How far to go, (K,): all the way, halved until the objective has fallen enough."""

    def objective(length: NDArray[np.float64]) -> NDArray[np.float64]:
        slack = np.maximum(1 - signs * (scores + length * change), 0)
        penalty = np.square(weights + length * step).sum(axis=0) / 2
        total: NDArray[np.float64] = penalty + (costs * np.square(slack)).sum(axis=0)
        return total

    length = np.ones(weights.shape[1])
    before = objective(np.zeros_like(length))
    # At the end the fall is lost in the rounding of the objective.
    before += 8 * np.finfo(float).eps * np.abs(before)
    slope = (gradient * step).sum(axis=0)
    for _ in range(_HALVINGS):
        short = objective(length) > before + _ARMIJO * length * slope
        if not short.any():
            break
        length[short] /= 2
    return length
