"""Protocols: given, by hash, or cross-validation."""

import numpy as np
import pytest
from problems import cycle, digests

from embedcache.evaluation.splits import (
    SIDE_FOLD,
    SIDE_TEST,
    SIDE_TRAIN,
    Protocol,
    choose_protocol,
    given_test,
    hash_test,
    strata,
)
from embedcache.records.strings import Strings

NONE = Strings.of([])


def choose(labels: np.ndarray, **changes: object) -> Protocol:
    n = len(labels)
    fields = {
        "split": np.zeros(n, np.uint8),
        "group": np.full(n, -1, np.int32),
        "groups": NONE,
        "digests": digests(n),
        "seed": 0,
    }
    return choose_protocol(labels, **{**fields, **changes})


@pytest.mark.parametrize(("codes", "judged"), [([1, 2, 3], 3), ([1, 2, 1], 2), ([0, 3, 0], 3)])
def test_the_sources_own_split_comes_first(codes: list[int], judged: int) -> None:
    """Test rows judge, validation rows where there are none, however few they are."""
    split = np.array(codes, np.uint8)
    protocol = choose(np.array([0, 1, 0]), split=split)
    assert (protocol.kind, protocol.source) == ("hold-out", "given")
    assert np.array_equal(protocol.side == SIDE_TEST, split == judged)
    assert np.array_equal(protocol.side == SIDE_TRAIN, split != judged)


def test_a_source_with_training_rows_only_has_no_split() -> None:
    """`train` alone sets nothing aside."""
    assert given_test(np.ones(5, np.uint8)) is None


def test_many_rows_are_split_by_hash() -> None:
    """With 400 expected test rows about a fifth is set aside."""
    protocol = choose(cycle(4, 2400))
    assert (protocol.kind, protocol.source) == ("hold-out", "hash")
    assert 0.17 < np.mean(protocol.side == SIDE_TEST) < 0.23


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (cycle(2, 1999), "400 test rows"),
        (np.r_[cycle(2, 2400), np.full(9, 2)], "9 rows, fewer than 10"),
    ],
)
def test_few_rows_are_cross_validated(labels: np.ndarray, words: str) -> None:
    """Too few test rows, or a rare class, make it a cross-validation that says why."""
    protocol = choose(labels)
    assert protocol.is_cross_validation
    assert words in protocol.reason
    assert set(protocol.folds) == {0, 1, 2, 3, 4}
    assert protocol.side.min() == SIDE_FOLD


@pytest.mark.parametrize(
    ("chosen", "words"), [(0, "without a class"), (3, "too large"), (6, "without a class")]
)
def test_few_large_groups_are_cross_validated(chosen: int, words: str) -> None:
    """Groups so large that a hash sets far more or less than a fifth aside are not hashed."""
    names = [f"patient {i}" for i in range(60)]
    sides = hash_test(digests(60), np.arange(60, dtype=np.int32), Strings.of(names))
    apart = [name for name, test in zip(names, sides, strict=True) if test]
    rest = [name for name, test in zip(names, sides, strict=True) if not test]
    groups = Strings.of(apart[:chosen] + rest[: 6 - chosen])
    group = np.repeat(np.arange(6, dtype=np.int32), 400)
    protocol = choose(cycle(2, 2400), group=group, groups=groups)
    assert protocol.is_cross_validation
    assert words in protocol.reason


def test_a_row_never_changes_sides() -> None:
    """Growth, order and neighbours leave the side of every image as it was."""
    few, many = digests(500), digests(900)
    alone = np.full(900, -1, np.int32)
    before, after = hash_test(few, alone[:500], NONE), hash_test(many, alone, NONE)
    assert np.array_equal(before, after[:500])
    order = np.random.default_rng(0).permutation(900)
    assert np.array_equal(hash_test(many[order], alone, NONE), after[order])
    assert 0.15 < after.mean() < 0.25


def test_groups_stay_together_and_never_change_sides() -> None:
    """The side of a group follows from its name, not from its code or its rows."""
    names = [f"patient {i}" for i in range(60)]
    group = (np.arange(300) % 60).astype(np.int32)
    first = hash_test(digests(300), group, Strings.of(names))
    for code in range(60):
        assert len(set(first[group == code])) == 1
    renumbered = hash_test(digests(300, 1000), 59 - group, Strings.of(reversed(names)))
    assert np.array_equal(first, renumbered)


def test_known_rows_keep_their_sides() -> None:
    """The salt is part of the promise: these sides hold in every version."""
    test = hash_test(digests(30), np.full(30, -1, np.int32), NONE)
    assert np.flatnonzero(test).tolist() == [5, 15, 21, 24, 26]


def test_a_rare_label_asks_for_cross_validation() -> None:
    """With several labels a row, nine rows that have one, or lack one, are too few for a hash."""
    n = 4_000
    labels = np.stack([np.arange(n) % 2, np.arange(n) % 3 == 0], axis=1).astype(np.uint8)
    assert choose(labels).source == "hash"
    for rare in (np.arange(n) < 9, np.arange(n) >= 9):
        protocol = choose(np.column_stack([labels, rare]).astype(np.uint8))
        assert protocol.is_cross_validation
        assert "only 9 rows" in protocol.reason


def test_every_fold_has_its_share_of_a_rare_label() -> None:
    """Ten rows of the rarest of three labels are two in each of the five folds."""
    labels = np.stack([np.ones(200), np.arange(200) % 3 == 0, np.arange(200) < 10], axis=1)
    folds = choose(labels.astype(np.uint8)).folds
    assert np.bincount(folds[:10]).tolist() == [2] * 5


def test_a_row_counts_for_its_rarest_label() -> None:
    """The stratum is the rarest label of a row, K for a row without any, and a lone class."""
    labels = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1], [1, 1, 0]], np.uint8)
    assert strata(labels).tolist() == [1, 0, 3, 2, 1]
    assert strata(cycle(3, 6)).tolist() == [0, 1, 2, 0, 1, 2]
