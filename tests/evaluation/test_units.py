"""Units and paired differences."""

import numpy as np
import pytest

from embedcache.evaluation.units import paired_difference, row_units

ALONE = np.full(4, -1, np.int32)


def test_rows_without_a_group_are_units_of_their_own() -> None:
    """Rows share a unit exactly when they share a group."""
    units = row_units(np.array([2, -1, 2, -1, 0], np.int32))
    assert units[0] == units[2]
    assert len(set(units)) == 4
    assert set(units) == {0, 1, 2, 3}


def test_difference_has_the_error_of_a_paired_mean() -> None:
    """Without groups the error is that of the textbook: sd / √n of the differences."""
    loss, reference = np.array([1.0, 2.0, 4.0, 3.0]), np.array([1.0, 1.0, 1.0, 1.0])
    mean, error = paired_difference(loss, reference, ALONE)
    assert mean == pytest.approx(1.5)
    assert error == pytest.approx(np.std(loss - reference, ddof=1) / 2)


def test_rows_of_a_group_do_not_count_as_independent() -> None:
    """Every row doubled within its group leaves the error where it was."""
    loss = np.array([1.0, 2.0, 4.0, 3.0])
    _, single = paired_difference(loss, 0 * loss, ALONE)
    group = np.repeat(np.arange(4, dtype=np.int32), 2)
    _, doubled = paired_difference(np.repeat(loss, 2), np.zeros(8), group)
    assert doubled == pytest.approx(single)


def test_one_unit_has_no_error() -> None:
    """A single group says nothing of the spread between groups."""
    assert paired_difference(np.ones(4), np.zeros(4), np.zeros(4, np.int32))[1] == float("inf")
