"""Folds: balanced, stratified, groups together."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcache.evaluation.folds import stratified_folds
from embedcache.evaluation.units import row_units

_ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 12)), min_size=2, max_size=80)


@settings(max_examples=150, deadline=None)
@given(_ROWS, st.integers(2, 6), st.integers(0, 3))
def test_groups_stay_together(rows: list[tuple[int, int]], count: int, seed: int) -> None:
    """Every row has a fold, no group is split, and no fold is empty."""
    labels = np.array([row[0] for row in rows])
    group = np.array([row[1] for row in rows], np.int32)
    folds = stratified_folds(labels, group, count, seed)
    for code in set(group[group >= 0]):
        assert len(set(folds[group == code])) == 1
    units = len(set(row_units(group)))
    assert set(folds) == set(range(min(count, units)))
    assert np.array_equal(folds, stratified_folds(labels, group, count, seed))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=5, max_size=100), st.integers(0, 3))
def test_classes_and_folds_are_even(rows: list[int], seed: int) -> None:
    """Without groups the folds of a class differ by one row at most, and so do all folds."""
    labels = np.array(rows)
    folds = stratified_folds(labels, np.full(len(rows), -1, np.int32), 5, seed)
    for which in set(rows):
        sizes = np.bincount(folds[labels == which], minlength=5)
        assert sizes.max() - sizes.min() <= 1
    sizes = np.bincount(folds, minlength=5)
    assert sizes.max() - sizes.min() <= 1


def test_large_groups_are_spread_by_class() -> None:
    """Groups of one class each spread evenly over the folds."""
    group = np.repeat(np.arange(40, dtype=np.int32), 7)
    labels = (group % 2).astype(int)
    folds = stratified_folds(labels, group, 5, 0)
    for which in (0, 1):
        assert np.bincount(folds[labels == which]).tolist() == [28] * 5


def test_seeds_differ() -> None:
    """Another seed gives other folds."""
    labels, group = np.arange(100) % 2, np.full(100, -1, np.int32)
    first = stratified_folds(labels, group, 5, 0)
    assert not np.array_equal(first, stratified_folds(labels, group, 5, 1))
