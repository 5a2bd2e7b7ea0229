"""What twice the data would bring."""

import numpy as np
import pytest

from embedcache.evaluation.learning_curve import doubling

ALONE = np.full(20_000, -1, np.int32)


def _wrong(*errors: float) -> np.ndarray:
    """Rows that are wrong at a size are mostly wrong at the smaller ones too."""
    hardness = np.random.default_rng(0).random(len(ALONE))
    return np.stack([hardness < error for error in errors])


def test_gains_that_halve_are_continued() -> None:
    """0.04, 0.02, and then 0.01."""
    found = doubling(_wrong(0.26, 0.18, 0.14, 0.12), ALONE, seed=0)
    assert found.gain == pytest.approx(0.01, abs=0.002)
    assert 0 < found.low < found.gain


@pytest.mark.parametrize("errors", [(0.1, 0.1, 0.1), (0.1, 0.1, 0.11), (0.1, 0.08, 0.09)])
def test_a_flat_curve_promises_nothing(errors: tuple[float, ...]) -> None:
    """Nor does one that rises."""
    found = doubling(_wrong(*errors), ALONE, seed=0)
    assert found.gain == 0
    assert found.low == 0


def test_a_curve_that_steepens_is_not_believed() -> None:
    """The next gain is at most the last."""
    assert doubling(_wrong(0.2, 0.19, 0.16), ALONE, seed=0).gain == pytest.approx(0.03, abs=0.004)


def test_no_more_errors_are_saved_than_there_are() -> None:
    """From 1 % error at most 1 % can be gained."""
    assert doubling(_wrong(0.4, 0.2, 0.01), ALONE, seed=0).gain <= 0.0105


def test_rows_of_a_group_count_once() -> None:
    """The bound is lower where rows err together."""
    wrong = np.repeat(_wrong(0.26, 0.2, 0.16)[:, :200], 50, axis=1)
    group = np.repeat(np.arange(200), 50).astype(np.int32)
    alone = doubling(wrong, np.full(10_000, -1, np.int32), seed=0)
    together = doubling(wrong, group, seed=0)
    assert together.gain == alone.gain
    assert together.low < alone.low
