"""The approximate inverse Hessian."""

from __future__ import annotations

import pytest
import torch
from objectives import objective, some_parameters

from embedcache.heads.solver import preconditioner
from embedcache.heads.solver.leading import Leading
from embedcache.heads.solver.objective import Objective
from embedcache.heads.solver.preconditioner import TwoLevel


def change_of_gradient(problem: Objective, at: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """The Hessian times a step, by central differences."""
    ahead, behind = (problem(at + sign * 1e-4 * step).gradient for sign in (1, -1))
    return (ahead - behind) / 2e-4


@pytest.mark.parametrize("k", [2, 3, 10])
@pytest.mark.parametrize("intercept", [True, False])
def test_of_few_features_it_is_the_inverse_hessian(
    k: int,
    intercept: bool,  # noqa: FBT001  # a parameter of the test
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A step comes back from what it changes the gradient by."""
    monkeypatch.setattr("embedcache.heads.solver.curvature._LEAST", 0.0)
    problem = objective(400, 8, k, intercept=intercept)
    at, step = some_parameters(problem), some_parameters(problem).flip(-2)
    inverse = TwoLevel(problem, Leading.of(problem), at)
    found = inverse(change_of_gradient(problem, at, step))
    torch.testing.assert_close(found, step, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("k", [2, 10, 40])
def test_of_many_features_it_is_symmetric_and_positive(
    k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that what it makes of a gradient is a way down, at any number of classes."""
    monkeypatch.setattr(preconditioner, "_FULL", 64)
    problem = objective(400, 160, k)
    at = some_parameters(problem)
    inverse = TwoLevel(problem, Leading.of(problem), at)
    first, second = problem(at).gradient, some_parameters(problem)
    forth, back = (inverse(first) * second).sum(), (first * inverse(second)).sum()
    torch.testing.assert_close(forth, back, rtol=1e-6, atol=1e-9)
    assert float((first * inverse(first)).sum()) > 0


def test_leading_directions_hold_the_variance_that_eigenvectors_hold() -> None:
    """Orthonormal, and within 2 % of the best that as many directions can do."""
    problem = objective(500, 300, 2)
    vectors = Leading.of(problem).vectors
    count = vectors.shape[1]
    assert count < 300
    torch.testing.assert_close(vectors.T @ vectors, torch.eye(count, dtype=torch.float64))
    x = problem.rows.block(slice(0, 500))
    best = torch.linalg.eigvalsh(x.T @ x)[-count:].sum()
    assert float((x @ vectors).square().sum()) >= 0.98 * float(best)


@pytest.mark.parametrize("least", [-1e-5, -1e-3, -1.0])
def test_a_hessian_that_rounding_spoilt_is_inverted_all_the_same(least: float) -> None:
    """Something positive comes back, however far below 0 the smallest eigenvalue is."""
    spoilt = torch.eye(18, dtype=torch.float64)
    spoilt[0, 0] = least
    inverse = preconditioner._inverse(spoilt, 0.0, 3)
    assert bool(torch.linalg.eigvalsh(inverse)[0] > 0)
