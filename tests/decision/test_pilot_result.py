"""What a pilot found."""

import numpy as np
import pytest

from embedcache.decision.pilot_result import PilotResult

ALONE = np.full(200, -1, np.int32)


def _hits(wrong: slice) -> np.ndarray:
    hits = np.ones(200, np.bool_)
    hits[wrong] = False
    return hits


def _result(frozen: slice, tuned: slice, group: np.ndarray = ALONE) -> PilotResult:
    return PilotResult.of(
        _hits(frozen),
        _hits(tuned),
        group,
        minutes=2.0,
        boundary="blocks.5",
        views=2,
        steps=9,
        wanted=9,
    )


def test_it_counts_who_is_right_where_the_other_is_not() -> None:
    """20 rows are won, 6 are lost, of 200."""
    found = _result(slice(0, 30), slice(20, 36))
    assert (found.rows, found.only_tuned, found.only_frozen) == (200, 20, 6)
    assert found.gain == pytest.approx(0.07)
    assert found.tuned_accuracy - found.frozen_accuracy == pytest.approx(found.gain)


def test_its_bounds_hold_the_gain_and_each_leaves_a_fifth_out() -> None:
    """0.84 standard errors of the difference to each side, about."""
    found = _result(slice(0, 30), slice(20, 36))
    error = (26 - 14**2 / 200) ** 0.5 / 200
    assert found.low == pytest.approx(found.gain - 0.8416 * error, abs=0.004)
    assert found.high == pytest.approx(found.gain + 0.8416 * error, abs=0.004)


def test_rows_of_a_group_count_once() -> None:
    """Ten rows that err together say less than ten that err alone."""
    alone = _result(slice(0, 30), slice(20, 36))
    together = _result(slice(0, 30), slice(20, 36), (np.arange(200) // 10).astype(np.int32))
    assert together.gain == alone.gain
    assert together.high - together.low > 1.3 * (alone.high - alone.low)


def test_equal_answers_don_t_prove_that_nothing_can_be_gained() -> None:
    """The upper bound stays above 0."""
    found = _result(slice(0, 10), slice(0, 10))
    assert found.gain == 0
    assert found.low < 0 < found.high
