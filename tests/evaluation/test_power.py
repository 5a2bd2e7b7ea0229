"""What McNemar's mid-p test can see."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcache.evaluation.paired import mcnemar_mid_p
from embedcache.evaluation.power import (
    ALPHA,
    POWER,
    mcnemar_power,
    minimum_detectable_gain,
    rows_for_gain,
)


@pytest.mark.parametrize(("rows", "power"), [(153, 0.29), (656, 0.84)])
def test_four_points_on_two_test_sets(rows: int, power: float) -> None:
    """At a discordance of 12 %, a quarter of 612 rows rarely shows it, of 2,624 mostly."""
    assert mcnemar_power(0.04, 0.12, rows) == pytest.approx(power, abs=0.015)


@pytest.mark.parametrize(("gain", "discordance", "rows"), [(0.1, 0.2, 60), (0.03, 0.05, 400)])
def test_power_is_how_often_the_test_rejects(gain: float, discordance: float, rows: int) -> None:
    """As in 4,000 draws, in favour of the better one."""
    rng = np.random.default_rng(0)
    shares = [(discordance + gain) / 2, (discordance - gain) / 2, 1 - discordance]
    draws = rng.multinomial(rows, shares, 4_000).tolist()
    found = sum(wins > losses and mcnemar_mid_p(wins, losses) <= ALPHA for wins, losses, _ in draws)
    error = (0.25 / 4_000) ** 0.5
    assert mcnemar_power(gain, discordance, rows) == pytest.approx(found / 4_000, abs=4 * error)


def test_equal_classifiers_are_told_apart_as_often_as_the_level_allows() -> None:
    """Half of it, as only one of them counts as the better."""
    assert mcnemar_power(0.0, 0.1, 2_000) == pytest.approx(ALPHA / 2, abs=0.005)
    assert mcnemar_power(0.0, 0.0, 2_000) == 0


@settings(deadline=None, max_examples=30)
@given(st.floats(0.001, 0.9), st.integers(8, 3_000))
def test_the_least_detectable_gain_is_detected(discordance: float, rows: int) -> None:
    """It has the power, and a smaller one does not."""
    gain = minimum_detectable_gain(discordance, rows)
    assert gain is not None
    assert mcnemar_power(gain, discordance, rows) >= POWER
    assert mcnemar_power(0.98 * gain, discordance, rows) < POWER


def test_too_few_rows_show_nothing() -> None:
    """Five rows that all change sides have a mid-p of 0.03, four of 0.06."""
    assert minimum_detectable_gain(0.1, 4) is None
    assert minimum_detectable_gain(0.1, 5) is not None


def test_rows_for_a_gain_show_it() -> None:
    """And fewer don't; a smaller gain takes more."""
    rows = rows_for_gain(0.04, 0.12)
    assert rows is not None
    assert mcnemar_power(0.04, 0.12, rows) >= POWER > mcnemar_power(0.04, 0.12, rows - 1)
    more = rows_for_gain(0.02, 0.12)
    assert more is not None
    assert more > 3 * rows
    assert rows_for_gain(1e-7, 0.5) is None
