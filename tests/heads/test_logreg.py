"""The softmax regression behind its seam."""

import warnings

import numpy as np
import pytest
from problems import blobs, cycle
from sklearn.linear_model import LogisticRegression

from embedcache.heads.logreg import Softmax, fit_softmax, softmax


def fitted(k: int, c: float, dtype: type = np.float64, init: Softmax | None = None) -> Softmax:
    labels = cycle(k, 150)
    rows = blobs(labels).astype(dtype)
    return fit_softmax(rows, labels, c, init, tolerance=1e-8, max_iterations=5000)


@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("c", [1e-3, 1.0])
def test_probabilities_are_those_of_scikit_learn(k: int, c: float) -> None:
    """The same C means the same regression, for two classes and for more."""
    labels = cycle(k, 150)
    rows = blobs(labels).astype(np.float64)
    reference = LogisticRegression(C=c, tol=1e-8, max_iter=5000).fit(rows, labels)
    fit = fitted(k, c)
    assert fit.converged
    assert fit.weights.shape == (k, 12)
    expected = reference.predict_proba(rows)
    assert softmax(fit.logits(rows)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("k", [2, 4])
def test_a_warm_start_arrives_at_the_same_place(k: int) -> None:
    """Where the solver starts changes its iterations, not its end."""
    cold = fitted(k, 1.0)
    warm = fitted(k, 1.0, init=fitted(k, 0.1))
    assert warm.weights == pytest.approx(cold.weights, abs=1e-5)
    again = fitted(k, 1.0, init=cold)
    assert again.iterations < cold.iterations


def test_no_convergence_is_reported_not_warned() -> None:
    """A solver that gives up says so in the result, and nowhere else."""
    labels = cycle(3, 150)
    fit = fit_softmax(
        blobs(labels).astype(np.float64), labels, 10.0, tolerance=1e-9, max_iterations=3
    )
    assert not fit.converged
    assert fit.iterations == 3


def test_other_warnings_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is understood is silenced."""
    original = LogisticRegression.fit

    def fit(self: LogisticRegression, *args: object, **more: object) -> LogisticRegression:
        warnings.warn("something else", RuntimeWarning, stacklevel=1)
        return original(self, *args, **more)

    monkeypatch.setattr(LogisticRegression, "fit", fit)
    with pytest.warns(RuntimeWarning, match="something else"):
        fitted(2, 1.0)


def test_one_class_gets_probability_one() -> None:
    """A training part of a single class answers that class."""
    fit = fit_softmax(
        np.ones((4, 3), np.float32), np.zeros(4, int), 1.0, tolerance=1e-4, max_iterations=9
    )
    assert softmax(fit.logits(np.ones((2, 3)))).tolist() == [[1.0], [1.0]]


def test_softmax_survives_huge_logits() -> None:
    """Large logits overflow nothing."""
    assert softmax(np.array([[1e4, 0.0], [-1e4, 0.0]])).tolist() == [[1.0, 0.0], [0.0, 1.0]]
