"""Ridge: scikit-learn's answers, from one decomposition."""

import dataclasses

import numpy as np
import pytest
from problems import blobs, cycle
from sklearn.linear_model import Ridge as Reference
from sklearn.linear_model import RidgeClassifier, RidgeClassifierCV

from embedcache.heads.features import Features
from embedcache.heads.model import Training
from embedcache.heads.models.ridge import Decomposed, Ridge
from embedcache.heads.standardise import Scaler


def training(n: int, dim: int, k: int = 3) -> tuple[Training, np.ndarray]:
    """Rows, and what the scaler makes of them."""
    labels = cycle(k, n)
    rows = blobs(labels, dim=dim, spread=2.0).astype(np.float32)
    return Training(Features.of(rows), labels, 0), Scaler.fit(rows).apply(rows, np.float64)


@pytest.mark.parametrize(("n", "dim"), [(60, 20), (30, 80), (40, 40)])
@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("alpha", [1e-2, 1.0, 1e4])
def test_scores_are_scikit_learns(n: int, dim: int, k: int, alpha: float) -> None:
    """With more rows than dimensions or fewer, every alpha gives RidgeClassifier's scores."""
    data, scaled = training(n, dim, k)
    form = Ridge().fit(data, {"alpha": alpha, "temperature": 1.0}).form
    scores = form.logits(data.features.array().astype(np.float64))
    expected = RidgeClassifier(alpha=alpha).fit(scaled, data.labels).decision_function(scaled)
    if k == 2:
        expected = np.stack([-expected, expected], axis=1)
    assert scores == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(("n", "dim"), [(40, 10), (20, 50)])
@pytest.mark.parametrize("alpha", [0.1, 100.0])
def test_leaving_one_out_is_exact(n: int, dim: int, alpha: float) -> None:
    """Each row's score is that of a regression fitted without it."""
    data, scaled = training(n, dim)
    targets = np.where(data.labels[:, None] == np.arange(3), 1.0, -1.0)
    scores = Decomposed.of(data).left_out(alpha)
    for row in range(0, n, 7):
        rest = np.arange(n) != row
        reference = Reference(alpha=alpha).fit(scaled[rest], targets[rest])
        assert scores[row] == pytest.approx(reference.predict(scaled[[row]])[0], abs=1e-8)


@pytest.mark.parametrize(("n", "dim"), [(60, 20), (30, 80)])
@pytest.mark.parametrize("alpha", [0.1, 100.0])
def test_weights_are_scikit_learns(n: int, dim: int, alpha: float) -> None:
    """Weighted rows give its weighted regression, and leaving one out is exact all the same."""
    data, scaled = training(n, dim)
    weights = np.random.default_rng(1).uniform(0.2, 5.0, n)
    data = dataclasses.replace(data, weights=weights)
    targets = np.where(data.labels[:, None] == np.arange(3), 1.0, -1.0)
    form = Ridge().fit(data, {"alpha": alpha, "temperature": 1.0}).form
    reference = Reference(alpha=alpha).fit(scaled, targets, sample_weight=weights)
    found = form.logits(data.features.array().astype(np.float64))
    assert found == pytest.approx(reference.predict(scaled), abs=1e-7)
    left_out = Decomposed.of(data).left_out(alpha)
    for row in range(0, n, 7):
        rest = np.arange(n) != row
        reference.fit(scaled[rest], targets[rest], sample_weight=weights[rest])
        assert left_out[row] == pytest.approx(reference.predict(scaled[[row]])[0], abs=1e-7)


def test_leaving_one_out_chooses_as_scikit_learn() -> None:
    """RidgeClassifierCV has the same left-out errors at every alpha, and so the same best."""
    data, scaled = training(90, 30)
    alphas = (0.1, 1.0, 10.0, 100.0, 1000.0)
    reference = RidgeClassifierCV(alphas=alphas, store_cv_results=True).fit(scaled, data.labels)
    parts = Decomposed.of(data)
    targets = parts.targets + parts.mean
    errors = [np.square(parts.left_out(alpha) - targets) for alpha in alphas]
    assert np.stack(errors, axis=2) == pytest.approx(reference.cv_results_, abs=1e-8)
    assert alphas[int(np.argmin([each.mean() for each in errors]))] == reference.alpha_


def test_constant_rows_have_scores_of_the_mean() -> None:
    """Without a direction to learn from, the intercept is all there is."""
    rows = np.full((10, 3), 2, np.float32)
    labels = np.array([0] * 7 + [1] * 3)
    form = Ridge().fit(Training(Features.of(rows), labels, 0), {"alpha": 1.0, "temperature": 1.0})
    assert form.form.logits(np.zeros((1, 3))) == pytest.approx(np.array([[0.4, -0.4]]))
