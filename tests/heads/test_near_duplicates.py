"""Nearly the same picture twice."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from problems import cycle, problem

from embedcache.errors import UsageError
from embedcache.evaluation.splits import hash_test
from embedcache.heads import near_duplicates as module
from embedcache.heads.features import Features
from embedcache.heads.keep_together import keep_together
from embedcache.heads.near_duplicates import Pairs, near_duplicates
from embedcache.records.strings import Strings


def _features(dim: int = 256) -> np.ndarray:
    """120 random rows; 100 to 109 are 0 to 9 with a little noise."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(120, dim)) * rng.uniform(0.1, 5, dim) + 40
    rows[100:110] = rows[:10] + 0.01 * rng.normal(size=(10, dim))
    return rows.astype(np.float32)


def _noise(seed: int) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(values).resize((64, 64), Image.Resampling.NEAREST)


def _same(row: int) -> Image.Image:
    """Pictures of rows 100 to 109 equal those of 0 to 9."""
    return _noise(row % 100)


@pytest.mark.parametrize("dim", [32, 256])
def test_near_duplicates_are_found(dim: int) -> None:
    """All ten pairs and no other, whether or not the search projects."""
    found = near_duplicates(Features.of(_features(dim)), None, _same)
    assert sorted(zip(found.first.tolist(), found.second.tolist(), strict=True)) == [
        (i, i + 100) for i in range(10)
    ]
    assert (found.cosine > 0.98).all()
    assert (found.difference == 0).all()
    assert found.is_complete


def test_pixels_can_object() -> None:
    """Rows of like features and unlike pictures are no duplicates."""
    found = near_duplicates(Features.of(_features()), None, _noise)
    assert len(found) == 0
    assert found.unlike == 10


def test_nearly_blank_pictures_are_not_the_same() -> None:
    """A difference of 2 of 255 is much where the picture itself varies by 3."""

    def picture(row: int) -> Image.Image:
        faint = 128 + np.random.default_rng(row).normal(scale=3, size=(32, 32, 3))
        return Image.fromarray(faint.astype(np.uint8))

    assert near_duplicates(Features.of(_features()), None, picture).unlike == 10


def test_without_pictures_features_decide() -> None:
    """The pair is listed, with nothing said of its pixels."""
    found = near_duplicates(Features.of(_features()), None, lambda _row: None)
    assert len(found) == 10
    assert np.isnan(found.difference).all()


def test_only_pairs_across_sides_are_looked_for() -> None:
    """Rows number the table, not the chosen part of it."""
    chosen = np.arange(3, 120)
    side = np.where(chosen == 105, 2, 1)
    found = near_duplicates(Features(_features(), chosen), side, _same)
    assert list(zip(found.first, found.second, strict=True)) == [(5, 105)]


def test_a_flood_of_pairs_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Features that tell nothing apart don't fill the memory."""
    monkeypatch.setattr(module, "MOST_PAIRS", 50)
    rows = np.tile(_features()[:2], (60, 1))
    found = near_duplicates(Features.of(rows), None, lambda _row: None)
    assert len(found) == 50
    assert not found.is_complete
    constant = near_duplicates(Features.of(np.ones((40, 200), np.float32)), None, _same)
    assert len(constant) == 0


def _pairs(*pairs: tuple[int, int]) -> Pairs:
    first, second = np.array(pairs, np.int64).reshape(-1, 2).T
    return Pairs(first, second, np.ones(len(first)), np.zeros(len(first)), 0, True)


def test_near_duplicates_become_a_group() -> None:
    """Chains of pairs are one group; all other rows stay alone."""
    kept = keep_together(problem(cycle(2, 12)), _pairs((1, 4), (4, 9), (2, 3)))
    assert kept.group[1] == kept.group[4] == kept.group[9]
    assert kept.group[2] == kept.group[3] != kept.group[1]
    assert (np.delete(kept.group, [1, 2, 3, 4, 9]) == -1).all()
    test = hash_test(kept.digests, kept.group, kept.groups)
    assert test[1] == test[4] == test[9]


def test_groups_that_share_a_near_duplicate_become_one() -> None:
    """All rows of both groups, not only the pair."""
    group = np.array([0, 0, 1, 1, -1, -1], np.int32)
    given = problem(cycle(2, 6), group=group, groups=Strings.of(["a", "b"]))
    kept = keep_together(given, _pairs((1, 2), (3, 4)))
    assert kept.group.tolist() == [0, 0, 0, 0, 0, -1]


def test_a_groups_name_depends_on_no_order() -> None:
    """The same pictures in another order get the same name."""
    given = problem(cycle(2, 6))
    turned = replace(given, digests=given.digests[::-1].copy())
    names = {bytes(keep_together(p, _pairs((0, 5))).groups[0]) for p in (given, turned)}
    assert len(names) == 1


def test_a_given_split_is_not_touched() -> None:
    """Who set rows aside has to say what moves."""
    split = np.array([1, 1, 1, 3, 3, 3], np.uint8)
    with pytest.raises(UsageError, match="own split"):
        keep_together(problem(cycle(2, 6), split=split), _pairs((0, 5)))
