"""Training parts: rotation and missing classes."""

import numpy as np
import pytest
from problems import blobs, cycle
from sklearn.linear_model import LogisticRegression

from embedcache.heads.standardise import Scaler
from embedcache.heads.training import TrainingPart


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("n", [30, 200])
def test_rotation_changes_nothing(n: int, k: int) -> None:
    """With fewer rows than dimensions, as with more, the fit is scikit-learn's on scaled rows."""
    labels = cycle(k, n)
    rows = blobs(labels, dim=64).astype(np.float32)
    part = TrainingPart(rows, labels, np.float64)
    fit = part.fit(0.5, tolerance=1e-8, max_iterations=5000)
    scaled = Scaler.fit(rows).apply(rows, np.float64)
    reference = LogisticRegression(C=0.5, tol=1e-8, max_iter=5000).fit(scaled, labels)
    expected = reference.predict_proba(scaled)
    assert part.predict(fit, scaled, k) == pytest.approx(expected, abs=1e-6)
    weights, intercept = part.raw_weights(fit)
    logits = rows.astype(np.float64) @ weights.T + intercept
    margins = logits - logits.mean(axis=1, keepdims=True)
    reference_margins = np.log(expected) - np.log(expected).mean(axis=1, keepdims=True)
    assert margins == pytest.approx(reference_margins, abs=1e-5)


def test_a_missing_class_gets_probability_zero() -> None:
    """A class without training rows keeps its column."""
    labels = np.array([0, 2, 3] * 20)
    rows = blobs(labels).astype(np.float32)
    part = TrainingPart(rows, labels, np.float32)
    fit = part.fit(1.0, tolerance=1e-4, max_iterations=100)
    probabilities = part.predict(fit, part.scaler.apply(rows, np.float32), 5)
    assert probabilities.shape == (60, 5)
    assert probabilities[:, [1, 4]].max() == 0
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(60))
