"""Two classifiers on the same rows."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcache.evaluation.paired import holm, mcnemar_mid_p, score_interval

Z = 1.959964


def test_mid_p_is_the_binomial_tail() -> None:
    """Once the probability of fewer, and half that of as many, both sides."""
    tail = [math.comb(14, i) / 2**14 for i in range(3)]
    assert mcnemar_mid_p(2, 12) == pytest.approx(2 * (tail[0] + tail[1]) + tail[2])
    assert mcnemar_mid_p(12, 2) == mcnemar_mid_p(2, 12)
    assert mcnemar_mid_p(5, 5) == pytest.approx(1)
    assert mcnemar_mid_p(0, 0) == 1
    assert mcnemar_mid_p(4_000, 6_000) < 1e-50


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 60))
def test_the_score_interval_agrees_with_the_score_test(b: int, c: int, rest: int) -> None:
    """It holds the difference, and 0 just where McNemar's statistic is within z."""
    total = b + c + rest
    found = score_interval(b, c, total, Z)
    assert -1 <= found.low <= (b - c) / total <= found.high <= 1
    assert found.low < found.high
    swapped = score_interval(c, b, total, Z)
    assert swapped.low == pytest.approx(-found.high, abs=1e-9)
    statistic = abs(b - c) / math.sqrt(b + c) if b + c else 0.0
    if abs(statistic - Z) > 1e-6:
        assert (found.low <= 0 <= found.high) == (statistic < Z)


def test_it_is_honest_without_discordant_rows() -> None:
    """Equal answers on 50 rows don't prove that two heads are equal."""
    found = score_interval(0, 0, 50, Z)
    assert found.high == pytest.approx(Z**2 / (50 + Z**2), rel=1e-6)
    assert found.low == pytest.approx(-found.high)


@pytest.mark.parametrize("shares", [(0.08, 0.05), (0.02, 0.01)])
def test_its_coverage_is_as_promised(shares: tuple[float, float]) -> None:
    """Over 2,000 draws of 150 rows, 93 to 98 % of the intervals hold the truth."""
    rng = np.random.default_rng(0)
    draws = rng.multinomial(150, [*shares, 1 - sum(shares)], 2_000)
    truth = shares[0] - shares[1]
    hit = 0
    for b, c, _ in draws.tolist():
        found = score_interval(b, c, 150, Z)
        hit += found.low <= truth <= found.high
    assert 0.93 <= hit / 2_000 <= 0.98


def test_holm_adjusts_the_smallest_most() -> None:
    """The smallest of three counts three times, and order is kept."""
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == pytest.approx([1, 1])
    assert holm([]) == []
