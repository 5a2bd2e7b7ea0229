"""Validation rows set aside, and the head that has not seen them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import blobs, cycle

from embedcache.errors import UnfittableError
from embedcache.finetuning.start import set_validation_aside, starting_head
from embedcache.heads.models.logreg import softmax_fit


def aside(
    labels: np.ndarray, group: np.ndarray | None = None, split: np.ndarray | None = None
) -> np.ndarray:
    group = np.full(len(labels), -1, np.int32) if group is None else group
    split = np.zeros(len(labels), np.uint8) if split is None else split
    return set_validation_aside(labels, group, split, seed=0)


def test_a_sixth_of_each_class() -> None:
    """Stratified."""
    labels = cycle(3, 180)
    assert np.bincount(labels[aside(labels)]).tolist() == [10, 10, 10]


def test_rows_that_the_backbone_knows_validate_nothing() -> None:
    """Neither drawn nor named by the source; they stay to train on."""
    labels, known = cycle(2, 60), np.arange(60) < 40
    group, split = np.full(60, -1, np.int32), np.zeros(60, np.uint8)
    split[[0, 1, 50, 51]] = 2
    for own in (split, np.zeros(60, np.uint8)):
        chosen = set_validation_aside(labels, group, own, 0, known)
        assert chosen.any()
        assert not chosen[known].any()
    with pytest.raises(UnfittableError, match="validation") as refused:
        set_validation_aside(labels, group, split, 0, np.ones(60, bool))
    assert "60 of which" in refused.value.got


def test_no_more_than_are_needed() -> None:
    """About 2,000 of very many rows."""
    assert 1_900 < aside(cycle(2, 60_000)).sum() < 2_100


@given(st.lists(st.integers(0, 4), min_size=4, max_size=40), st.integers(0, 5))
def test_groups_are_whole_and_classes_stay(codes: list[int], groups: int) -> None:
    """No group is torn apart, and no class loses all its training rows."""
    labels = np.unique(codes, return_inverse=True)[1]
    group = (np.arange(len(codes)) % (groups + 2)).astype(np.int32)
    try:
        chosen = aside(labels, group)
    except UnfittableError:
        return
    assert not set(group[chosen]) & set(group[~chosen])
    assert set(labels) == set(labels[~chosen])


def test_the_sources_own_validation_rows_count() -> None:
    """Where it names some."""
    split = np.where(np.arange(30) < 12, 2, 1).astype(np.uint8)
    assert np.array_equal(aside(cycle(3, 30), split=split), split == 2)


def test_nothing_to_set_aside() -> None:
    """One row of each class cannot be spared."""
    with pytest.raises(UnfittableError, match="validation"):
        aside(np.arange(5))


def test_the_head_has_not_seen_the_validation_rows() -> None:
    """Other features or labels there leave it bit-equal."""
    labels = cycle(3, 120)
    features = blobs(labels, spread=3.0).astype(np.float32)
    chosen = aside(labels)
    head = starting_head(features, labels, chosen, 0.1).head
    features[chosen] = 99.0
    again = starting_head(features, labels, chosen, 0.1).head
    assert np.array_equal(head.weights, again.weights)


def test_an_interpolating_head_is_softened() -> None:
    """With more dimensions than rows a large C leaves no residual: a thirtieth does."""
    labels = cycle(2, 60)
    features = blobs(labels, dim=200, spread=6.0).astype(np.float32)
    chosen = aside(labels)
    start = starting_head(features, labels, chosen, 10.0)
    assert start.softened
    assert start.residual_ratio < 0.5
    assert start.c == pytest.approx(1 / 3)
    expected = softmax_fit(features[~chosen], labels[~chosen], 1 / 3).form
    np.testing.assert_allclose(start.head.weights, expected.weights)


def test_a_modest_head_is_kept() -> None:
    """Where residuals are alike the run's own C counts."""
    labels = cycle(2, 300)
    start = starting_head(blobs(labels, spread=2.0).astype(np.float32), labels, aside(labels), 0.01)
    assert not start.softened
    assert start.c == 0.01
