"""Training parts: rotation."""

import numpy as np
import pytest
from problems import blobs, cycle
from sklearn.linear_model import LogisticRegression

from embedcache.heads.logreg import softmax
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
    assert softmax(fit.logits(scaled)) == pytest.approx(expected, abs=1e-6)
    weights, intercept = part.raw_weights(fit)
    logits = rows.astype(np.float64) @ weights.T + intercept
    margins = logits - logits.mean(axis=1, keepdims=True)
    reference_margins = np.log(expected) - np.log(expected).mean(axis=1, keepdims=True)
    assert margins == pytest.approx(reference_margins, abs=1e-5)
