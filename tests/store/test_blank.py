"""Damaged tables that a source says anew are left blank, the others are as they were."""

import shutil
from pathlib import Path

import hostile
import numpy as np
import pytest

from embedcache.errors import CacheInvalidError
from embedcache.store.cache import FeatureCache
from embedcache.store.layout import TABLES, summed_tables

NEEDED = ("sha256", "numerics")
TOLD = [name for name in summed_tables(TABLES) if name not in NEEDED]


@pytest.fixture
def victim(cache: FeatureCache, tmp_path: Path) -> Path:
    """A copy that tests may damage."""
    return Path(shutil.copy(cache.path, tmp_path / "victim.h5"))


@pytest.mark.parametrize("name", TOLD)
def test_rows_keep_their_features(cache: FeatureCache, victim: Path, name: str) -> None:
    """However much of one table is damaged: digests, features and other tables are the same."""
    hostile.overwrite_table(victim, name)
    blank = FeatureCache(victim, on_damage="blank")
    assert blank.damaged_tables == (name,)
    np.testing.assert_array_equal(blank.X, cache.X)
    np.testing.assert_array_equal(blank.sha256, cache.sha256)
    np.testing.assert_array_equal(blank.tables.numerics, cache.tables.numerics)
    assert (blank.ids == cache.ids) == (not name.startswith("ids"))
    assert (blank.classes == cache.classes) == (name != "labels" and "classes" not in name)
    assert np.array_equal(blank.split, cache.split) == (name != "split")
    assert (blank.tables.groups == cache.tables.groups) == (not name.startswith("group"))
    assert (blank.rejects == cache.rejects) == (not name.startswith("rejects"))
    assert np.array_equal(blank.seen, cache.seen) == (name != "seen")


def test_all_at_once(cache: FeatureCache, victim: Path) -> None:
    """Nothing is left but the rows."""
    for name in TOLD:
        hostile.overwrite_table(victim, name)
    blank = FeatureCache(victim, on_damage="blank")
    assert blank.damaged_tables == tuple(TOLD)
    np.testing.assert_array_equal(blank.X, cache.X)
    assert set(blank.ids) == {b""}
    assert (blank.y == -1).all()
    assert (blank.classes, blank.rejects) == ((), ())


@pytest.mark.parametrize("name", [*NEEDED, "meta", "checksums"])
def test_without_these_no_row_can_be_believed(victim: Path, name: str) -> None:
    """What a row is of, and how it was made."""
    hostile.overwrite_table(victim, name)
    with pytest.raises(CacheInvalidError, match=f"{name}.* damaged"):
        FeatureCache(victim, on_damage="blank")


def test_damaged_features_are_damaged_still(victim: Path) -> None:
    """Only tables are left blank."""
    hostile.overwrite_table(victim, "labels")
    hostile.flip_feature(victim, 5)
    blank = FeatureCache(victim, on_damage="blank")
    np.testing.assert_array_equal(blank.damaged_rows(), np.arange(10))
