"""What a pilot found."""

import numpy as np
import pytest

from embedcache.decision.pilot_result import BOUND_LEVEL, LUCK, PilotResult
from embedcache.decision.thresholds import MIN_GAIN

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
        trainings=1,
        asked=1,
        minutes=2.0,
        boundary="blocks.5",
        share=0.6,
        views=2,
        steps=9,
        wanted=9,
        whole=40.0,
    )


def test_it_counts_who_is_right_where_the_other_is_not() -> None:
    """20 rows are won, 6 are lost, of 200."""
    found = _result(slice(0, 30), slice(20, 36))
    assert (found.rows, found.only_tuned, found.only_frozen) == (200, 20, 6)
    assert found.gain == pytest.approx(0.07)
    assert found.tuned_accuracy - found.frozen_accuracy == pytest.approx(found.gain)


def test_its_bounds_hold_the_gain_and_each_leaves_a_fifth_out() -> None:
    """0.84 standard errors to each side: of the rows, of half a row more each, of luck."""
    found = _result(slice(0, 30), slice(20, 36))
    error = ((26 - 14**2 / 200) / 200**2 + 1 / 200**2 + (26 / 200 / 8) ** 2) ** 0.5
    assert found.low == pytest.approx(found.gain - 0.8416 * error, abs=1e-4)
    assert found.high == pytest.approx(found.gain + 0.8416 * error, abs=1e-4)


def test_rows_of_a_group_count_once() -> None:
    """Ten rows that err together say less than ten that err alone."""
    alone = _result(slice(0, 30), slice(20, 36))
    together = _result(slice(0, 30), slice(20, 36), (np.arange(200) // 10).astype(np.int32))
    assert together.gain == alone.gain
    assert together.high - together.low > 1.2 * (alone.high - alone.low)


def test_equal_answers_don_t_prove_that_nothing_can_be_gained() -> None:
    """The upper bound stays above 0."""
    found = _result(slice(0, 10), slice(0, 10))
    assert found.gain == 0
    assert found.low < 0 < found.high


def _draw(
    rng: np.random.Generator, rows: int, trainings: int, change: float, luck: float, shared: float
) -> PilotResult:
    """A pilot that gains nothing on average.

    Each training is better or worse than its like by chance, `luck` being the standard deviation
    as a multiple of `LUCK`, and `shared` the part of its variance that all trainings have alike.
    """
    own = rng.normal(size=trainings) * (1 - shared) ** 0.5
    gain = LUCK * luck * change * (own + rng.normal() * shared**0.5)
    gain = np.clip(gain, -change, change)[np.arange(rows) % trainings]
    draw = rng.random(rows)
    won, lost = draw < (change + gain) / 2, draw > 1 - (change - gain) / 2
    return PilotResult.of(
        ~won,
        ~lost,
        np.full(rows, -1, np.int32),
        trainings=trainings,
        asked=trainings,
        minutes=1.0,
        boundary="b",
        share=0.6,
        views=1,
        steps=9,
        wanted=9,
        whole=40.0,
    )


@pytest.mark.parametrize(("luck", "shared"), [(0.0, 0.0), (1.0, 0.0), (1.0, 0.75)])
@pytest.mark.parametrize("trainings", [1, 3, 5])
@pytest.mark.parametrize("change", [0.03, 0.12])
@pytest.mark.parametrize("changed", [10, 40])
def test_a_null_pilot_escalates_as_rarely_as_promised(
    luck: float, shared: float, trainings: int, change: float, changed: int
) -> None:
    """One in five at most, though trainings have luck, and share it as they share rows."""
    rng = np.random.default_rng(5)
    rows, times = round(changed / change), 1_500
    found = [_draw(rng, rows, trainings, change, luck, shared) for _ in range(times)]
    escalated = sum(each.gain >= MIN_GAIN.value and each.low > 0 for each in found) / times
    promised = 1 - BOUND_LEVEL
    assert escalated <= promised + 2 * (promised * BOUND_LEVEL / times) ** 0.5


def test_small_changes_prove_nothing() -> None:
    """One row won of one that changed sides is a coin that fell once."""
    assert _result(slice(0, 1), slice(0, 0)).low < 0
