"""Intervals of means over draws."""

import numpy as np

from embedcache.evaluation.draws import over_draws
from embedcache.evaluation.intervals import Interval, share_interval


def test_it_covers_what_it_says() -> None:
    """Draws differ and rows are drawn: of 400 simulated curves at least 93 % hold the truth."""
    rng = np.random.default_rng(0)
    alone = np.full(300, -1, np.int32)
    held = 0
    for _ in range(400):
        draws = 0.8 + 0.05 * rng.normal(size=3)
        ease = rng.random(300)
        hits = ease < draws[:, None]
        found = over_draws(hits.mean(axis=1), share_interval(hits.mean(axis=0), alone))
        assert found is not None
        held += found.low <= 0.8 <= found.high
    assert held / 400 >= 0.93


def test_equal_draws_leave_the_rows_interval() -> None:
    """Nothing is added where nothing differs."""
    found = over_draws(np.array([0.9, 0.9, 0.9]), Interval(0.85, 0.93))
    assert found is not None
    assert np.allclose([found.low, found.high], [0.85, 0.93])


def test_one_draw_has_none() -> None:
    """It says nothing of the next, and rows without an interval have none either."""
    assert over_draws(np.array([0.9]), Interval(0.85, 0.93)) is None
    assert over_draws(np.array([0.9, 0.8]), None) is None
