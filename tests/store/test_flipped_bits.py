"""A flipped bit of a table is flipped back, and nothing else passes for it."""

import shutil
from pathlib import Path

import h5py
import hostile
import pytest

from embedcache.errors import CacheInvalidError
from embedcache.store import flipped_bits
from embedcache.store.cache import FeatureCache
from embedcache.store.layout import RECORD, SUM_ATTRIBUTE, TABLES

SMALL = [name for name in TABLES if name != "features"]


@pytest.fixture
def victim(cache: FeatureCache, tmp_path: Path) -> Path:
    """A copy that tests may damage."""
    return Path(shutil.copy(cache.path, tmp_path / "victim.h5"))


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("part", [0, 1 / 2, 1])
def test_a_flipped_bit_of_any_table_is_flipped_back(
    cache: FeatureCache, victim: Path, name: str, part: float
) -> None:
    """All is as it was, in memory; the file is left alone."""
    hostile.flip_table(victim, name, part, mask=16)
    damaged = victim.read_bytes()
    with pytest.raises(CacheInvalidError, match=f"{name}.* damaged") as caught:
        FeatureCache(victim)
    assert f"embedcache verify --repair {victim} puts a flipped bit back; or" in str(caught.value)
    mended = FeatureCache(victim, on_damage="mend")
    assert hostile.is_same(hostile.everything(mended), hostile.everything(cache))
    assert mended.damaged_tables == (RECORD if name in {"meta", "checksums"} else name,)
    assert victim.read_bytes() == damaged


def test_a_flipped_bit_of_the_sum_over_all_is_flipped_back(
    cache: FeatureCache, victim: Path
) -> None:
    """What it is the sum of is whole, as another sum in it says."""
    with h5py.File(victim, "r+") as file:
        total = file.attrs[SUM_ATTRIBUTE]
        file.attrs.modify(SUM_ATTRIBUTE, total ^ type(total)(1 << 40))
    mended = FeatureCache(victim, on_damage="mend")
    assert hostile.is_same(hostile.everything(mended), hostile.everything(cache))
    assert mended.damaged_tables == (RECORD,)


def test_one_bit_of_each_of_several_tables(cache: FeatureCache, victim: Path) -> None:
    """Each has its own sum."""
    for name in ("labels", "split", "sha256", "meta"):
        hostile.flip_table(victim, name, 1 / 2)
    mended = FeatureCache(victim, on_damage="mend")
    assert hostile.is_same(hostile.everything(mended), hostile.everything(cache))
    assert mended.damaged_tables == (RECORD, "sha256", "labels", "split")


@pytest.mark.parametrize("name", SMALL)
def test_two_flipped_bits_of_a_table_are_too_many(victim: Path, name: str) -> None:
    """No guess: the table is refused, with a command that makes it again."""
    hostile.flip_table(victim, name, 0, mask=3)
    with pytest.raises(CacheInvalidError, match=f"{name}.* damaged") as caught:
        FeatureCache(victim, on_damage="mend")
    is_needed = name in {"sha256", "numerics", "meta", "checksums"}
    source = "SOURCE" if name in {"meta", "checksums"} else "/nowhere"
    command = f"extract {'--overwrite ' if is_needed else ''}{source}"
    assert caught.value.hint == f"embedcache {command} makes the cache again"


def test_large_tables_are_not_searched(victim: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search would take longer than the embedding."""
    hostile.flip_table(victim, "sha256", 1 / 2)
    monkeypatch.setattr(flipped_bits, "LARGEST", 45 * 32 - 1)
    with pytest.raises(CacheInvalidError, match="sha256 is damaged"):
        FeatureCache(victim, on_damage="mend")
    monkeypatch.setattr(flipped_bits, "LARGEST", 45 * 32)
    assert FeatureCache(victim, on_damage="mend").damaged_tables == ("sha256",)


def test_a_flipped_feature_is_no_matter_of_tables(victim: Path) -> None:
    """Features are mended from their images."""
    hostile.flip_feature(victim, 5)
    cache = FeatureCache(victim, on_damage="mend")
    assert cache.damaged_tables == ()
    assert len(cache.damaged_rows()) == 10
