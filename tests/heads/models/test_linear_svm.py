"""Support vector machines: the optimum of scikit-learn's objective, as one linear form."""

import numpy as np
import pytest
from problems import blobs, cycle
from sklearn.svm import LinearSVC

from embedcache.heads.features import Features
from embedcache.heads.model import Training
from embedcache.heads.models.linear_svm import LinearSvm
from embedcache.heads.standardise import Scaler


@pytest.mark.parametrize("dim", [10, 200])
@pytest.mark.parametrize("k", [2, 3])
def test_margins_are_scikit_learns(k: int, dim: int) -> None:
    """Differences between classes are converged LinearSVC's margins over the temperature."""
    labels = cycle(k, 90)
    rows = blobs(labels, dim=dim, spread=2.0).astype(np.float32)
    setting = {"C": 0.1, "temperature": 2.0}
    counts = np.random.default_rng(0).uniform(0.2, 3, size=90)
    fit = LinearSvm().fit(Training(Features.of(rows), labels, 0, weights=counts), setting)
    scaled = Scaler.fit(rows).apply(rows, np.float64)
    reference = LinearSVC(C=0.1, dual=False, tol=1e-12, max_iter=10_000)
    expected = reference.fit(scaled, labels, counts).decision_function(scaled)
    logits = fit.form.logits(rows.astype(np.float64))
    margins = logits[:, 1] - logits[:, 0] if k == 2 else logits
    # liblinear gives up when the objective falls by less than 1e-12: the root of that here.
    assert 2 * margins == pytest.approx(expected, abs=1e-6)
    assert fit.converged


@pytest.mark.parametrize("c", [1e-5, 0.1, 10.0])
@pytest.mark.parametrize(("k", "dim"), [(2, 10), (3, 10), (5, 200)])
def test_the_gradient_is_zero(c: float, k: int, dim: int) -> None:
    """No step from the fit lowers LinearSVC's objective, which is strictly convex."""
    labels = cycle(k, 90)
    rows = blobs(labels, dim=dim, spread=2.0).astype(np.float32)
    form = (
        LinearSvm().fit(Training(Features.of(rows), labels, 0), {"C": c, "temperature": 1.0}).form
    )
    scaler = Scaler.fit(rows)
    scaled = np.c_[scaler.apply(rows, np.float64), np.ones(90)]
    weights = np.c_[form.weights * scaler.scale, form.intercept + form.weights @ scaler.mean]
    weights = 2 * weights[1:] if k == 2 else weights
    signs = np.where(labels[:, None] == np.arange(k)[-len(weights) :], 1.0, -1.0)
    slack = np.maximum(1 - signs * (scaled @ weights.T), 0)
    gradient = weights - 2 * c * (signs * slack).T @ scaled
    assert np.abs(gradient).max() < 1e-10 * (1 + np.abs(2 * c * signs.T @ scaled).max())


def test_one_c_after_another_ends_where_one_alone_does() -> None:
    """A fold's held-out margins do not depend on the C that came before, but for its tolerance."""
    labels = cycle(3, 120)
    rows = Features.of(blobs(labels, spread=2.0).astype(np.float32))
    training = Training(rows, labels, 0)
    path = LinearSvm().fold(training, rows)
    for c in (1e-5, 1e-2):
        path.score({"C": c}, 1e-3)
    reached = path.score({"C": 1.0}, 1e-3).scores
    alone = LinearSvm().fit(training, {"C": 1.0, "temperature": 1.0}).form
    assert reached == pytest.approx(alone.logits(rows.array().astype(np.float64)), abs=0.02)


def test_a_single_class_is_no_problem() -> None:
    """A fold may lack all classes but one: then nothing is to be told apart."""
    training = Training(Features.of(np.eye(4, dtype=np.float32)), np.zeros(4, np.int64), 0)
    fit = LinearSvm().fit(training, {"C": 1.0, "temperature": 1.0})
    assert not fit.form.logits(np.eye(4)).any()


def test_giving_up_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit that hits the limit of iterations is flagged, without a warning."""
    monkeypatch.setattr("embedcache.heads.models.linear_svm._MAX_ITERATIONS", 1)
    labels = cycle(2, 60)
    training = Training(Features.of(blobs(labels, spread=3.0)), labels, 0)
    assert not LinearSvm().fit(training, {"C": 10.0, "temperature": 1.0}).converged
