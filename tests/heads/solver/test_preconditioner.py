"""The approximate inverse Hessian."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from embedcache.heads.features import Features
from embedcache.heads.solver import preconditioner
from embedcache.heads.solver.leading import Leading
from embedcache.heads.solver.objective import Objective, Sides
from embedcache.heads.solver.parallel import Workers
from embedcache.heads.solver.preconditioner import TwoLevel
from embedcache.heads.solver.rows import Rows
from embedcache.heads.solver.targets import Targets
from embedcache.heads.standardise import Scaler


def objective(n: int, d: int, k: int, *, intercept: bool = True) -> Objective:
    """One float64 problem of n rows of d features with a decaying spectrum and k classes."""
    rng = np.random.default_rng(0)
    features = Features.of(rng.normal(size=(n, d)) / (1 + np.arange(d)))
    same = Scaler(np.zeros(d), np.ones(d))
    rows = Rows(features, same, Workers(torch.device("cpu")), torch.float64)
    make = partial(Targets.from_codes, rng.integers(k, size=n), k)
    ones = torch.ones(1, n, dtype=torch.float64)
    sides = Sides(ones, torch.zeros(1, d).double(), torch.ones(1, d).double())
    zero = torch.zeros(1, dtype=torch.int64)
    c = torch.full((1,), 0.1, dtype=torch.float64)
    targets = make(rows.device, torch.float64)
    return Objective(rows, targets, sides, c, zero, zero, intercept, torch.float64)


def some_parameters(problem: Objective) -> torch.Tensor:
    """Not so large that any row is sure; intercepts of mean 0."""
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randn(problem.start().shape, generator=generator, dtype=torch.float64) / 4
    if drawn.shape[1] > 1:
        drawn -= drawn.mean(1, keepdim=True)
    return drawn if problem.intercept else torch.cat([drawn[..., :-1], 0 * drawn[..., -1:]], -1)


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
