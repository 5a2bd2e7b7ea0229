"""Duplicates, conflicts and crossings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import digests, problem

from embedcache.errors import UnfittableError
from embedcache.heads.cleaning import clean, equal_digests


def same(count: int, *pairs: tuple[int, int]) -> np.ndarray:
    """Digests of `count` rows, the second row of each pair a copy of the first."""
    table = digests(count)
    for first, second in pairs:
        table[second] = table[first]
    return table


@given(st.lists(st.integers(0, 4), max_size=30))
def test_equal_digests_get_equal_numbers(which: list[int]) -> None:
    """Two rows share a number exactly when their 32 bytes are equal."""
    table = digests(5)
    table[1] = table[0]
    table[1, 31] ^= 1
    number = equal_digests(table[np.array(which, int)])
    for i, first in enumerate(which):
        for j, second in enumerate(which):
            assert (number[i] == number[j]) == (first == second)


def test_equal_images_with_equal_labels_are_fitted_once() -> None:
    """The first of equal rows stays."""
    cleaned = clean(problem([0, 1, 0, 1, 0], digests=same(5, (0, 2), (0, 4))))
    assert cleaned.rows.tolist() == [0, 1, 3]
    assert cleaned.duplicates == 2
    assert cleaned.conflicts == ()


def test_conflicts_are_errors_that_name_the_rows() -> None:
    """The same bytes under two labels stop the fit unless they are to be dropped."""
    conflicting = problem([0, 1, 0, 1], digests=same(4, (0, 3)))
    with pytest.raises(UnfittableError) as caught:
        clean(conflicting)
    assert "image0000.png" in str(caught.value)
    assert "image0003.png" in str(caught.value)
    assert "--on-conflict drop" in str(caught.value)


def test_dropped_conflicts_are_listed() -> None:
    """All rows of a contradicting image leave, agreeing ones included."""
    rows = problem([0, 1, 0, 1, 0], digests=same(5, (0, 3), (0, 4)))
    cleaned = clean(rows, on_conflict="drop")
    assert cleaned.rows.tolist() == [1, 2]
    assert cleaned.conflicting == 3
    [conflict] = cleaned.conflicts
    assert conflict.ids == ("image0000.png", "image0003.png", "image0004.png")
    assert conflict.labels == ("class 0", "class 1", "class 0")
    assert cleaned.duplicates == 0


def test_an_unlabelled_copy_contradicts_nothing() -> None:
    """Unlabelled rows leave, and agree with every label."""
    cleaned = clean(problem([0, 1, -1], digests=same(3, (0, 2))))
    assert cleaned.rows.tolist() == [0, 1]
    assert (cleaned.unlabelled, cleaned.duplicates, cleaned.conflicts) == (1, 0, ())


def test_copies_across_the_given_split_leave_the_training_side() -> None:
    """The judged copy stays, whatever the order, and the crossing is listed."""
    split = np.array([1, 1, 3, 3, 1], np.uint8)
    cleaned = clean(problem([0, 1, 0, 1, 1], digests=same(5, (0, 2), (3, 4)), split=split))
    assert cleaned.rows.tolist() == [1, 2, 3]
    pairs = [(crossing.train, crossing.test) for crossing in cleaned.crossings]
    assert sorted(pairs) == [("image0000.png", "image0002.png"), ("image0004.png", "image0003.png")]


def test_copies_within_a_side_are_no_crossing() -> None:
    """Duplicates on one side are only duplicates."""
    split = np.array([1, 1, 3, 3], np.uint8)
    cleaned = clean(problem([0, 0, 1, 1], digests=same(4, (0, 1), (2, 3)), split=split))
    assert cleaned.rows.tolist() == [0, 2]
    assert cleaned.crossings == ()


def test_no_rows_are_no_error_here() -> None:
    """Nothing labelled leaves nothing."""
    assert len(clean(problem([-1, -1], classes=("a",))).rows) == 0
