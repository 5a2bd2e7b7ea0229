"""Neighbours: exact, blocked, and refused where there are not enough."""

import numpy as np
import pytest
from problems import blobs, cycle
from sklearn.neighbors import NearestNeighbors

from embedcache.errors import UsageError
from embedcache.heads.features import Features
from embedcache.heads.forms.neighbours import nearest, normalised, votes
from embedcache.heads.model import Training
from embedcache.heads.models.knn import Knn


def test_neighbours_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over several blocks, the neighbours and similarities are brute force's."""
    monkeypatch.setattr("embedcache.heads.forms.neighbours._QUERIES", 7)
    monkeypatch.setattr("embedcache.heads.forms.neighbours._STORED", 13)
    rng = np.random.default_rng(0)
    stored = normalised(rng.normal(size=(200, 30))).astype(np.float16)
    rows = normalised(rng.normal(size=(50, 30)))
    index, similarity = nearest(stored, rows, 9)
    exact = stored.astype(np.float64)
    reference = NearestNeighbors(n_neighbors=9, metric="cosine", algorithm="brute").fit(exact)
    assert np.array_equal(index, reference.kneighbors(rows, return_distance=False))
    assert similarity == pytest.approx(np.take_along_axis(rows @ exact.T, index, 1), abs=1e-12)


def test_equals_are_taken_by_position() -> None:
    """Of copies of a row the first ones are the neighbours, whatever the rounding."""
    row = normalised(np.random.default_rng(1).normal(size=(1, 40)))
    stored = np.repeat(row, 20, axis=0).astype(np.float16)
    assert nearest(stored, row, 5)[0].tolist() == [[0, 1, 2, 3, 4]]


def test_a_row_of_zeros_has_neighbours() -> None:
    """It is equally near to all, without a division by zero."""
    stored = normalised(np.eye(3)).astype(np.float16)
    index, similarity = nearest(stored, normalised(np.zeros((1, 3))), 2)
    assert index.tolist() == [[0, 1]]
    assert similarity.tolist() == [[0, 0]]


def test_votes_fade_with_distance() -> None:
    """A low temperature lets the nearest decide, a high one the majority."""
    labels, similarity = np.array([[0, 1, 1]]), np.array([[0.9, 0.8, 0.8]])
    share = np.array([0.5, 0.5])
    assert votes(labels, similarity, share, 0.01).argmax() == 0
    assert votes(labels, similarity, share, 10.0).argmax() == 1
    assert np.exp(votes(labels, similarity, share, 1.0)).sum() == pytest.approx(1)


@pytest.mark.parametrize("k", [0.0, 2.5, 31.0])
def test_impossible_numbers_of_neighbours_are_refused(k: float) -> None:
    """More neighbours than rows, none, or half a one are an error that names the limit."""
    labels = cycle(2, 30)
    training = Training(Features.of(blobs(labels)), labels, 0)
    with pytest.raises(UsageError, match="number of neighbours") as caught:
        Knn().fit(training, {"k": k, "vote_temperature": 1.0, "temperature": 1.0})
    assert "from 1 to 30" in str(caught.value)
