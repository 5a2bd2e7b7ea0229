"""Labels as arrays: one class for each row, or any number of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcache.records.label_arrays import (
    UNLABELLED,
    check_labels,
    is_multilabel,
    labelled,
    members,
    one_hot,
)


@given(st.integers(0, 9), st.lists(st.integers(-1, 8), max_size=50))
def test_indicators_say_what_codes_say(classes: int, values: list[int]) -> None:
    """The same rows are labelled, and each class has the same members."""
    codes = np.array([code for code in values if code < classes], np.int32)
    indicators = one_hot(codes, classes)
    assert indicators.shape == (len(codes), classes)
    check_labels(codes, classes)
    check_labels(indicators, classes)
    assert not is_multilabel(codes)
    assert is_multilabel(indicators)
    np.testing.assert_array_equal(labelled(codes), labelled(indicators))
    for code in range(classes):
        np.testing.assert_array_equal(members(codes, code), members(indicators, code))


def test_no_class_at_all_is_a_label() -> None:
    """A row of zeros is labelled, a row of 255 is not, and without classes none is."""
    rows = np.array([[0, 0], [UNLABELLED, UNLABELLED], [0, 1]], np.uint8)
    assert labelled(rows).tolist() == [True, False, True]
    assert members(rows, 1).tolist() == [False, False, True]
    assert labelled(rows[:, :0]).tolist() == [False, False, False]
    check_labels(rows[:, :0], 0)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.array([0, 2], np.int32), r"-1\.\.1"),
        (np.array([-2, 0], np.int32), r"-1\.\.1"),
        (np.zeros((2, 3), np.uint8), "3 columns for 2 classes"),
        (np.array([[0, 1], [0, 255]], np.uint8), "neither"),
        (np.array([[0, 1], [2, 0]], np.uint8), "neither"),
    ],
)
def test_labels_without_a_meaning_are_refused(labels: np.ndarray, said: str) -> None:
    """Codes past the classes, columns without a class, and rows that are partly unlabelled."""
    with pytest.raises(ValueError, match=said):
        check_labels(labels, 2)
