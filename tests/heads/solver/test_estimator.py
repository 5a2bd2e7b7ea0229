"""SoftmaxRegression: scikit-learn's contract, scikit-learn's optimum."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from embedcache.heads.solver.estimator import SoftmaxRegression
from embedcache.heads.threads import one_thread

CS = [1e-6, 1e-4, 1e-2, 1.0, 1e2]
Data = tuple[np.ndarray, np.ndarray]


@pytest.fixture(autouse=True)
def _quiet_blas() -> Iterator[None]:
    """scikit-learn's small products on one thread: several wait for each other."""
    with one_thread():
        yield


@parametrize_with_checks([SoftmaxRegression(tol=1e-15)])
def test_it_is_a_scikit_learn_estimator(
    estimator: SoftmaxRegression, check: Callable[[SoftmaxRegression], None]
) -> None:
    """Every one of scikit-learn's own checks holds."""
    check(estimator)


def digits() -> Data:
    x, y = load_digits(return_X_y=True)
    return x.astype(np.float32), y


def binary() -> Data:
    x, y = load_breast_cancer(return_X_y=True)
    return ((x - x.mean(0)) / x.std(0)).astype(np.float32), y


def few_rows() -> Data:
    """60 rows of 200 features, three classes."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = rng.normal(size=(60, 200)) + rng.normal(size=(3, 200))[y] / 4 + 3
    return x.astype(np.float32), y


def objective(
    x: np.ndarray, y: np.ndarray, coef: np.ndarray, intercept: np.ndarray, c: float
) -> float:
    """scikit-learn's objective in float64."""
    logits = x.astype(np.float64) @ coef.T + intercept
    if len(coef) == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    loss = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(y)), y]
    return float(c * loss.sum() + 0.5 * np.square(coef).sum())


@pytest.mark.parametrize("c", CS)
@pytest.mark.parametrize("data", [digits, binary, few_rows])
def test_the_optimum_is_scikit_learns(data: Callable[[], Data], c: float) -> None:
    """The objective is within 1e-4 of scikit-learn's optimum and the predictions agree."""
    x, y = data()
    solver = "lbfgs" if x.shape[1] > 100 else "newton-cholesky"
    reference = LogisticRegression(C=c, tol=1e-9, max_iter=20_000, solver=solver)
    reference.fit(x.astype(np.float64), y)
    best = objective(x, y, reference.coef_, reference.intercept_, c)
    ours = SoftmaxRegression(C=c).fit(x, y)
    got = objective(x, y, ours.coef_, ours.intercept_, c)
    assert got <= best * (1 + 1e-4)
    assert ours.objective_ == pytest.approx(got, rel=1e-5)
    assert ours.converged_
    assert np.mean(ours.predict(x) == reference.predict(x)) >= 0.999


def test_the_reported_gradient_and_gap_are_those_of_the_objective() -> None:
    """Gradient norm and duality gap are what they are by hand, in float64."""
    x, y = digits()
    x = x - x.mean(0)
    fit = SoftmaxRegression(C=0.01, tol=1e-3).fit(x, y)
    wide = x.astype(np.float64)
    share = fit.predict_proba(wide) - np.eye(10)[y]
    slope = fit.coef_ + 0.01 * share.T @ wide
    bias = 0.01 * share.sum(0)
    assert fit.gradient_norm_ == pytest.approx(
        np.hypot(np.linalg.norm(slope), np.linalg.norm(bias)), rel=1e-2
    )
    assert fit.dual_gap_ == pytest.approx(np.square(slope).sum() / 2, rel=1e-2)
    optimum = SoftmaxRegression(C=0.01, tol=1e-12).fit(wide, y).objective_
    assert 0 <= fit.objective_ - optimum <= fit.dual_gap_


def test_class_and_sample_weights_are_scikit_learns() -> None:
    """Weights of classes and rows move the optimum as they do in scikit-learn."""
    x, y = digits()
    weight = np.random.default_rng(1).uniform(0.1, 3, len(y))
    arguments = {"C": 1e-3, "class_weight": {c: 1 + c for c in range(10)}}
    theirs = LogisticRegression(tol=1e-10, solver="newton-cholesky", **arguments)
    theirs.fit(x.astype(np.float64), y, weight)
    ours = SoftmaxRegression(**arguments).fit(x, y, weight)
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=2e-3)


def test_multilabel_is_one_problem_per_label() -> None:
    """Several labels a row give the same answers as one-versus-rest, balanced or not."""
    x, y = digits()
    labels = np.stack([y % 2, y > 4, y == 3], axis=1).astype(int)
    for weight in (None, "balanced"):
        theirs = OneVsRestClassifier(
            LogisticRegression(C=1e-2, tol=1e-10, solver="newton-cholesky", class_weight=weight)
        ).fit(x.astype(np.float64), labels)
        ours = SoftmaxRegression(C=1e-2, class_weight=weight).fit(x, labels)
        np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=5e-3)
        assert np.mean(ours.predict(x) == theirs.predict(x)) >= 0.999


def test_soft_labels_are_weighted_copies_of_a_row() -> None:
    """A row of probabilities fits like the row repeated with each class at its weight."""
    x, y = digits()
    shares = 0.7 * np.eye(10)[y] + 0.03
    soft = SoftmaxRegression(C=1e-2, soft_labels=True).fit(x, shares)
    hard = SoftmaxRegression(C=1e-2).fit(
        np.repeat(x, 10, axis=0), np.tile(np.arange(10), len(x)), shares.ravel()
    )
    np.testing.assert_allclose(soft.predict_proba(x), hard.predict_proba(x), atol=1e-3)


def test_soft_labels_must_be_probabilities() -> None:
    """Rows that do not sum to 1 are refused."""
    x, _ = digits()
    with pytest.raises(ValueError, match="sum to 1"):
        SoftmaxRegression(soft_labels=True).fit(x, np.ones((len(x), 10)))


def test_half_precision_features_are_those_of_single_precision() -> None:
    """float16 features give the fit of the same numbers in float32, to its rounding."""
    x, y = digits()
    half = SoftmaxRegression(C=1e-2).fit(x.astype(np.float16), y)
    single = SoftmaxRegression(C=1e-2).fit(x, y)
    np.testing.assert_allclose(half.coef_, single.coef_, atol=1e-6)


def test_equal_inputs_give_bit_equal_weights() -> None:
    """Two fits of the same data are equal bit by bit."""
    x, y = digits()
    x = np.tile(x, (3, 1))
    first, second = (SoftmaxRegression(C=1.0).fit(x, np.tile(y, 3)) for _ in range(2))
    np.testing.assert_array_equal(first.coef_, second.coef_)
    np.testing.assert_array_equal(first.intercept_, second.intercept_)


def test_too_few_passes_are_said() -> None:
    """A fit that stops early warns and is flagged."""
    x, y = digits()
    with pytest.warns(ConvergenceWarning, match="raise max_iter"):
        fit = SoftmaxRegression(C=1e2, max_iter=3, tol=1e-13).fit(x, y)
    assert not fit.converged_


@pytest.mark.parametrize("c", [0.0, -1.0, np.inf, np.nan])
def test_c_must_be_positive(c: float) -> None:
    """A C that is not above 0 and finite is refused."""
    with pytest.raises(ValueError, match="C must be above 0"):
        SoftmaxRegression(C=c).fit(*digits())


def test_a_thousand_classes_of_two_rows() -> None:
    """Many classes with hardly a row are fitted like any other."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(1000), 2)
    x = (rng.normal(size=(1000, 32))[y] + 0.1 * rng.normal(size=(2000, 32))).astype(np.float32)
    assert SoftmaxRegression(C=1.0, tol=1e-4).fit(x, y).score(x, y) > 0.9


def test_features_far_from_zero_and_constant_ones_do_no_harm() -> None:
    """An offset of a thousand and a constant feature change the fit by rounding only."""
    x, y = binary()
    shifted = np.concatenate([x + 1000, np.full((len(x), 1), 7)], axis=1).astype(np.float64)
    plain = SoftmaxRegression(C=0.1).fit(x.astype(np.float64), y)
    far = SoftmaxRegression(C=0.1).fit(shifted, y)
    np.testing.assert_allclose(
        far.decision_function(shifted), plain.decision_function(x), atol=1e-2
    )
