"""Intervals: known values and simulated coverage."""

from collections.abc import Callable

import numpy as np
import pytest

from embedcache.evaluation.intervals import bootstrap, share_interval, wilson
from embedcache.evaluation.metrics import Ranking


def test_wilson_matches_published_values() -> None:
    """The interval of 15 of 148 is that of Newcombe (1998), table I, method 3."""
    interval = wilson(15, 148)
    assert interval.low == pytest.approx(0.0624, abs=5e-5)
    assert interval.high == pytest.approx(0.1605, abs=5e-5)


@pytest.mark.parametrize("share", [0.5, 0.85, 0.98, 0.999])
def test_wilson_covers_near_one(share: float) -> None:
    """About 95 % of intervals hold the true share, near 1 as well."""
    hits = np.random.default_rng(0).binomial(200, share, 4000)
    covered = [(i := wilson(int(k), 200)).low <= share <= i.high for k in hits]
    assert 0.92 <= np.mean(covered) <= 0.99


def test_wilson_stays_inside_zero_and_one() -> None:
    """No success and no failure give intervals that end at 0 and at 1."""
    assert wilson(0, 20).low == pytest.approx(0)
    assert wilson(20, 20).high == pytest.approx(1)
    assert wilson(20, 20).low < 0.9


def test_share_interval_covers_with_groups() -> None:
    """Rows that agree within their group get intervals wide enough for groups."""
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(40, dtype=np.int32), 10)
    covered, naive = [], []
    for _ in range(400):
        success = np.repeat(rng.random(40) < 0.8, 10)
        interval = share_interval(success, group)
        assert interval is not None
        covered.append(interval.low <= 0.8 <= interval.high)
        plain = wilson(int(success.sum()), 400)
        naive.append(plain.low <= 0.8 <= plain.high)
    assert np.mean(covered) > 0.9
    assert np.mean(naive) < 0.7


def test_share_interval_without_groups_is_wilson() -> None:
    """Independent rows count in full."""
    success = np.arange(50) % 5 > 0
    assert share_interval(success, np.full(50, -1, np.int32)) == wilson(40, 50)


def test_perfect_groups_count_as_groups() -> None:
    """When nothing failed, ten groups of ten rows are ten trials, not a hundred."""
    group = np.repeat(np.arange(10, dtype=np.int32), 10)
    assert share_interval(np.ones(100, bool), group) == wilson(10, 10)


def test_share_interval_needs_five_units() -> None:
    """Four rows, or four groups, give no interval."""
    assert share_interval(np.ones(4, bool), np.full(4, -1, np.int32)) is None
    assert share_interval(np.ones(40, bool), np.arange(40, dtype=np.int32) % 4) is None


def _mean_of(values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    return lambda weight: (weight @ values / weight.sum(-1))[:, None]


def test_bootstrap_covers_a_mean() -> None:
    """About 95 % of bootstrap intervals of a log-loss-like mean hold the truth."""
    rng = np.random.default_rng(2)
    labels, group = np.arange(80) % 2, np.full(80, -1, np.int32)
    covered = []
    for seed in range(80):
        losses = rng.exponential(0.4, 80)
        [interval] = bootstrap(_mean_of(losses), labels, group, seed=seed)
        assert interval is not None
        covered.append(interval.low <= 0.4 <= interval.high)
    assert np.mean(covered) > 0.85


def test_bootstrap_covers_an_auroc() -> None:
    """About 95 % of bootstrap intervals of an AUROC hold the true value."""
    rng = np.random.default_rng(3)
    labels, group = np.arange(100) % 2, np.full(100, -1, np.int32)
    truth = 0.7602  # Φ(1 / √2), two normals one standard deviation apart
    covered = []
    for seed in range(60):
        ranking = Ranking(labels == 1, labels + rng.normal(size=100))
        [interval] = bootstrap(
            lambda weight, r=ranking: r.auroc(weight)[:, None], labels, group, seed=seed
        )
        assert interval is not None
        covered.append(interval.low <= truth <= interval.high)
    assert np.mean(covered) > 0.85


def test_bootstrap_draws_whole_groups() -> None:
    """Ten copies of each row in one group leave the interval as wide as without copies."""
    values = np.random.default_rng(4).normal(size=30)
    labels = np.arange(30) % 2
    [single] = bootstrap(_mean_of(values), labels, np.full(30, -1, np.int32), seed=0)
    group = np.repeat(np.arange(30, dtype=np.int32), 10)
    [copied] = bootstrap(_mean_of(np.repeat(values, 10)), np.repeat(labels, 10), group, seed=0)
    assert single is not None
    assert copied is not None
    width = single.high - single.low
    assert copied.high - copied.low == pytest.approx(width, rel=0.1)


def test_bootstrap_keeps_class_sizes() -> None:
    """Every replicate has as many rows of each class as the data."""
    labels = np.repeat([0, 1], [50, 10])
    sizes = []

    def scores(weight: np.ndarray) -> np.ndarray:
        sizes.extend([weight[:, labels == 0].sum(1), weight[:, labels == 1].sum(1)])
        return np.zeros((len(weight), 1))

    bootstrap(scores, labels, np.full(60, -1, np.int32), seed=0)
    assert set(np.concatenate(sizes[::2])) == {50.0}
    assert set(np.concatenate(sizes[1::2])) == {10.0}


def test_bootstrap_is_the_same_for_the_same_seed() -> None:
    """Intervals are a function of the seed."""
    values, labels = np.arange(20.0), np.arange(20) % 2
    group = np.full(20, -1, np.int32)
    first = bootstrap(_mean_of(values), labels, group, seed=5)
    assert first == bootstrap(_mean_of(values), labels, group, seed=5)
    assert first != bootstrap(_mean_of(values), labels, group, seed=6)


def test_an_undefined_score_has_no_interval() -> None:
    """A score that is NaN in most replicates gets None."""
    labels, group = np.arange(20) % 2, np.full(20, -1, np.int32)
    assert bootstrap(lambda w: np.full((len(w), 1), np.nan), labels, group, seed=0) == [None]
