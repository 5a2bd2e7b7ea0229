"""The kernel approximation: scikit-learn's, folded into one form."""

import numpy as np
import pytest
from problems import cycle
from sklearn.kernel_approximation import Nystroem as Reference

from embedcache.heads.features import Features
from embedcache.heads.model import Training
from embedcache.heads.models.logreg import softmax_fit
from embedcache.heads.models.nystroem import Nystroem
from embedcache.heads.standardise import Scaler


def rings(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Two classes that no line separates."""
    labels = cycle(2, n)
    rng = np.random.default_rng(0)
    points = rng.normal(size=(n, 2))
    points *= ((1 + 2 * labels) / np.linalg.norm(points, axis=1))[:, None]
    return labels, (points + 0.1 * rng.normal(size=(n, 2))).astype(np.float32)


def test_logits_are_of_the_transformed_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folding the normalisation into the weights changes nothing."""
    monkeypatch.setattr("embedcache.heads.models.nystroem._LANDMARKS", 40)
    labels, rows = rings()
    setting = {"C": 1.0, "gamma*D": 1.0}
    fit = Nystroem().fit(Training(Features.of(rows), labels, 3), setting)
    scaled = Scaler.fit(rows).apply(rows, np.float64)
    reference = Reference(gamma=0.5, n_components=40, random_state=3)
    similar = reference.fit_transform(scaled)
    expected = softmax_fit(similar, labels, 1.0).form.logits(similar)
    logits = fit.form.logits(rows.astype(np.float64))
    assert logits == pytest.approx(expected, abs=1e-6)
    assert np.mean(logits.argmax(axis=1) == labels) > 0.95
