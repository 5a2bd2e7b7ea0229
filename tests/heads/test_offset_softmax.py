"""Softmax regression on top of fixed logits."""

import numpy as np
import pytest
from problems import blobs, cycle
from sklearn.linear_model import LogisticRegression

from embedcache.heads.logreg import softmax
from embedcache.heads.offset_softmax import fit_on_offset

LABELS = cycle(3, 90)
ROWS = blobs(LABELS, dim=6, spread=2.0).astype(np.float64)
EXACT = {"tolerance": 1e-8, "max_iterations": 5000}


def objective(flat: np.ndarray, offset: np.ndarray, c: float) -> float:
    weights, intercept = flat[:18].reshape(3, 6), flat[18:]
    chances = softmax(ROWS @ weights.T + intercept + offset)
    loss = -np.log(chances[np.arange(90), LABELS]).sum()
    return c * loss + np.square(weights).sum() / 2


@pytest.mark.parametrize("c", [1e-3, 1.0, 100.0])
def test_without_an_offset_it_is_logistic_regression(c: float) -> None:
    """The weights are scikit-learn's."""
    fit = fit_on_offset(ROWS, LABELS, np.zeros((90, 3)), c, **EXACT)
    expected = LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(ROWS, LABELS)
    assert fit.converged
    assert fit.weights == pytest.approx(expected.coef_, abs=1e-4)
    # Intercepts are determined up to a constant.
    shift = fit.intercept - expected.intercept_
    assert shift == pytest.approx(np.full(3, shift[0]), abs=1e-4)


@pytest.mark.parametrize("c", [1e-3, 1.0])
def test_with_an_offset_it_is_at_the_minimum(c: float) -> None:
    """No step in any direction lowers C Σ log-loss + ½ ‖V‖²."""
    rng = np.random.default_rng(0)
    offset = 3 * rng.normal(size=(90, 3))
    fit = fit_on_offset(ROWS, LABELS, offset, c, **EXACT)
    flat = np.concatenate([fit.weights.ravel(), fit.intercept])
    best = objective(flat, offset, c)
    for _ in range(50):
        step = rng.normal(size=len(flat))
        assert objective(flat + 1e-3 * step, offset, c) > best
        assert objective(flat - 1e-3 * step, offset, c) > best


def test_shrinking_to_an_offset_is_shrinking_to_its_weights() -> None:
    """With offset X W₀ᵀ, W₀ + V minimises the loss with the penalty ½ ‖W − W₀‖²."""
    prior = np.random.default_rng(1).normal(size=(3, 6))
    fit = fit_on_offset(ROWS, LABELS, ROWS @ prior.T, 0.1, **EXACT)
    total = prior + fit.weights
    chances = softmax(ROWS @ total.T + fit.intercept)
    chances[np.arange(90), LABELS] -= 1
    gradient = 0.1 * chances.T @ ROWS + (total - prior)
    assert np.abs(gradient).max() < 1e-5


def test_a_solver_that_gives_up_says_so() -> None:
    """One iteration is not the optimum."""
    fit = fit_on_offset(ROWS, LABELS, np.zeros((90, 3)), 1.0, tolerance=1e-8, max_iterations=1)
    assert not fit.converged
    assert fit.iterations == 1
