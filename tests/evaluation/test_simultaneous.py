"""Simultaneous intervals: coverage, pairs, groups."""

import numpy as np
import pytest

from embedcache.evaluation.simultaneous import simultaneous_differences
from embedcache.evaluation.units import paired_difference


def alone(n: int) -> np.ndarray:
    return np.full(n, -1, np.int32)


def test_all_intervals_hold_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of equal models, in 95 of 100 data sets no interval excludes a difference of nothing."""
    monkeypatch.setattr("embedcache.evaluation.simultaneous._DRAWS", 500)
    rng = np.random.default_rng(0)
    held = []
    for seed in range(150):
        losses = rng.normal(size=(6, 150)) + rng.normal(size=150)
        found = simultaneous_differences(losses, alone(150), seed=seed)
        held.append(bool(np.all(np.abs(found.mean) <= found.half_width)))
    assert 0.90 <= np.mean(held) <= 0.99


def test_they_are_wider_than_one_interval_alone() -> None:
    """The price of many comparisons: more than 1.96 standard errors, less than Bonferroni's."""
    losses = np.random.default_rng(1).normal(size=(5, 400))
    found = simultaneous_differences(losses, alone(400), seed=0)
    error = paired_difference(losses[1], losses[0], alone(400))[1]
    assert 2.3 < found.half_width[1, 0] / error < 3.0


def test_pairs_cancel_what_rows_share() -> None:
    """A small steady difference is found among rows of very different hardness."""
    rng = np.random.default_rng(2)
    hardness = 10 * rng.normal(size=300)
    losses = np.stack([hardness, hardness + 0.1 + 0.1 * rng.normal(size=300)])
    found = simultaneous_differences(losses, alone(300), seed=0)
    assert found.mean[1, 0] - found.half_width[1, 0] > 0
    assert np.array_equal(found.mean, -found.mean.T)


def test_copies_in_a_group_add_nothing() -> None:
    """Each row four times, in one group, gives the interval of the rows."""
    losses = np.random.default_rng(3).normal(size=(3, 100))
    few = simultaneous_differences(losses, alone(100), seed=0)
    group = np.repeat(np.arange(100, dtype=np.int32), 4)
    many = simultaneous_differences(np.repeat(losses, 4, axis=1), group, seed=0)
    assert many.half_width == pytest.approx(few.half_width)


def test_equal_models_differ_by_nothing() -> None:
    """Identical losses have a difference of exactly 0, one group alone an unknown one."""
    losses = np.repeat(np.random.default_rng(4).normal(size=(1, 50)), 2, axis=0)
    found = simultaneous_differences(losses, alone(50), seed=0)
    assert not found.mean.any()
    assert not found.half_width.any()
    one = simultaneous_differences(losses, np.zeros(50, np.int32), seed=0)
    assert np.isinf(one.half_width[0, 1])
    assert simultaneous_differences(losses[:1], alone(50), seed=0).mean.shape == (1, 1)
