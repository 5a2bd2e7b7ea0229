"""Nearest class means and discriminant analysis."""

import numpy as np
import pytest
from problems import blobs, cycle
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import NearestCentroid

from embedcache.heads.features import Features
from embedcache.heads.model import Training
from embedcache.heads.models.lda import Lda
from embedcache.heads.models.ncm import Ncm
from embedcache.heads.standardise import Scaler


@pytest.mark.parametrize(("k", "dim"), [(2, 60), (4, 60), (4, 5), (3, 1)])
def test_lda_is_scikit_learns(k: int, dim: int) -> None:
    """At a temperature of 1 the probabilities are those of LinearDiscriminantAnalysis."""
    labels = cycle(k, 40)
    rows = blobs(labels, dim=dim, spread=3.0).astype(np.float32)
    rows[labels == 0, dim // 2] *= dim == 1  # constant in one class, where there are others
    counts = 1.0 + labels
    training = Training(Features.of(rows), labels, 0, weights=counts)
    form = Lda().fit(training, {"temperature": 1.0}).form
    scaled = Scaler.fit(rows).apply(rows, np.float64)
    shares = np.bincount(labels, counts) / counts.sum()
    reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=shares)
    reference.fit(scaled, labels)
    logits = form.logits(rows.astype(np.float64))
    logits -= logits.max(axis=1, keepdims=True)
    expected = reference.predict_log_proba(scaled)
    found = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert found == pytest.approx(expected, abs=1e-6)


def test_lda_with_a_class_of_one_row() -> None:
    """A single row has a mean and no covariance, and nothing is said about it."""
    labels = np.r_[cycle(2, 30), 2]
    rows = blobs(labels, dim=5).astype(np.float32)
    form = Lda().fit(Training(Features.of(rows), labels, 0), {"temperature": 1.0}).form
    assert form.logits(rows[-1:].astype(np.float64)).argmax() == 2


def test_lda_of_features_that_are_one() -> None:
    """A covariance that cannot be inverted, of two rows of each class, has an answer as well."""
    labels = np.r_[0, 0, 1, 1]
    rows = np.repeat(np.float32([[0], [1], [5], [6]]), 3, axis=1)
    form = Lda().fit(Training(Features.of(rows), labels, 0), {"temperature": 1.0}).form
    assert np.array_equal(form.logits(rows.astype(np.float64)).argmax(axis=1), labels)


def test_ncm_is_the_nearest_mean() -> None:
    """The answers are those of NearestCentroid on standardised rows."""
    labels = cycle(4, 80)
    rows = blobs(labels, dim=6, spread=2.0).astype(np.float32)
    form = Ncm().fit(Training(Features.of(rows), labels, 0), {"temperature": 3.0}).form
    scaled = Scaler.fit(rows).apply(rows, np.float64)
    expected = NearestCentroid().fit(scaled, labels).predict(scaled)
    assert np.array_equal(form.logits(rows.astype(np.float64)).argmax(axis=1), expected)
