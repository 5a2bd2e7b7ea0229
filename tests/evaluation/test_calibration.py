"""Reliability diagrams."""

import numpy as np
import pytest

from embedcache.evaluation.calibration import reliability


def _alone(count: int) -> np.ndarray:
    return np.full(count, -1, np.int32)


def test_the_error_is_the_mean_distance_by_rows() -> None:
    """Four sure answers, half of them right, and two unsure ones that are both right."""
    top = np.array([0.9, 0.9, 0.9, 0.9, 0.6, 0.6])
    shares = np.stack([top, 1 - top], axis=1)
    found = reliability(np.array([0, 0, 1, 1, 0, 0]), shares, _alone(6))
    assert found.ece == pytest.approx((4 * 0.4 + 2 * 0.4) / 6)
    assert [entry.rows for entry in found.bins] == [2, 4]
    assert found.bins[0].interval is None


def test_true_probabilities_have_a_small_error() -> None:
    """Labels drawn from the probabilities themselves."""
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(4), 20_000)
    labels = (rng.random((20_000, 1)) > shares.cumsum(axis=1)).sum(axis=1)
    found = reliability(labels, shares, _alone(20_000))
    assert found.ece < 0.015
    inside = [b.interval.low <= b.confidence <= b.interval.high for b in found.bins if b.interval]
    assert np.mean(inside) > 0.7
    assert sum(entry.rows for entry in found.bins) == 20_000


def test_certainty_is_in_the_last_bin() -> None:
    """A probability of 1 has a bin, and nothing is lost."""
    found = reliability(np.array([0, 1]), np.eye(2), _alone(2))
    assert found.ece == 0
    assert found.bins[-1].high == 1
