"""Support vector machines: scikit-learn's, as one linear form."""

import numpy as np
import pytest
from problems import blobs, cycle
from sklearn.svm import LinearSVC

from embedcache.heads.features import Features
from embedcache.heads.model import Training
from embedcache.heads.models.linear_svm import LinearSvm
from embedcache.heads.standardise import Scaler


@pytest.mark.parametrize("k", [2, 3])
def test_margins_are_scikit_learns(k: int) -> None:
    """Differences between classes are LinearSVC's margins over the temperature."""
    labels = cycle(k, 90)
    rows = blobs(labels, spread=2.0).astype(np.float32)
    setting = {"C": 0.1, "temperature": 2.0}
    fit = LinearSvm().fit(Training(Features.of(rows), labels, 0), setting)
    scaled = Scaler.fit(rows).apply(rows, np.float64)
    expected = LinearSVC(C=0.1, dual=False).fit(scaled, labels).decision_function(scaled)
    logits = fit.form.logits(rows.astype(np.float64))
    margins = logits[:, 1] - logits[:, 0] if k == 2 else logits
    assert 2 * margins == pytest.approx(expected, abs=1e-9)
    assert fit.converged


def test_giving_up_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit that hits the limit of iterations is flagged, without a warning."""
    monkeypatch.setattr("embedcache.heads.models.linear_svm._MAX_ITERATIONS", 1)
    labels = cycle(2, 60)
    training = Training(Features.of(blobs(labels, spread=3.0)), labels, 0)
    assert not LinearSvm().fit(training, {"C": 10.0, "temperature": 1.0}).converged
