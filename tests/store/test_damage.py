"""Damage of every kind to a cache file: an error that says so, or an unchanged result."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import builders
import h5py
import hostile
import numpy as np
import pytest

from embedcache.errors import CacheError, CacheInvalidError
from embedcache.store.cache import FeatureCache
from embedcache.store.layout import ALIGNMENT, TABLES, build_skeleton
from embedcache.store.writer import write_cache


@pytest.fixture
def victim(cache: FeatureCache, tmp_path: Path) -> Path:
    """A copy that tests may damage."""
    return Path(shutil.copy(cache.path, tmp_path / "victim.h5"))


def _survives(path: Path, expected: dict[str, object]) -> bool:
    """Whether a file still gives what it gave; anything but that or an error of ours fails."""
    problem: CacheError | None = None
    try:
        now = hostile.everything(FeatureCache(path))
    except CacheError as error:
        problem = error
    if problem is None:
        assert hostile.is_same(now, expected), "wrong data was handed out"
    else:
        assert (problem.exit_code, problem.where) == (4, str(path))
    return problem is None


def _flip_each(path: Path, offsets: Iterable[int], expected: dict[str, object], seed: int) -> int:
    """How many flips were noticed."""
    rng = np.random.default_rng(seed)
    noticed = 0
    for offset in offsets:
        mask = 1 << int(rng.integers(8))
        hostile.flip(path, offset, mask)
        noticed += not _survives(path, expected)
        hostile.flip(path, offset, mask)
    return noticed


def _headers(cache: FeatureCache) -> list[int]:
    """Offsets of all bytes that HDF5 wrote: superblock, object headers, attributes, names."""
    with h5py.File(cache.path) as file:
        shapes = {name: (file[name].shape, file[name].dtype) for name in TABLES}
    extents = build_skeleton(shapes, 0).extents
    return [start + index for start, data in extents for index in range(len(data))]


def _used(path: Path, offsets: Iterable[int]) -> list[int]:
    """Those of the offsets where the byte is not zero: zeros are mostly room for later."""
    data = path.read_bytes()
    return [offset for offset in offsets if data[offset]]


def test_flips_anywhere_never_give_wrong_data(cache: FeatureCache, victim: Path) -> None:
    """500 random bits flipped one at a time: an error, or exactly the same content."""
    offsets = np.random.default_rng(1).choice(victim.stat().st_size, 500, replace=False).tolist()
    _flip_each(victim, offsets, hostile.everything(cache), seed=1)


def test_flips_in_tables_are_always_noticed(cache: FeatureCache, victim: Path) -> None:
    """A flip in a table's data is an error, for each table at its ends and in its middle."""
    with h5py.File(cache.path) as file:
        spans = [(file[name].id.get_offset(), file[name].nbytes) for name in TABLES]
    offsets = [start + at for start, size in spans for at in {0, size // 2, size - 1}]
    assert _flip_each(victim, offsets, hostile.everything(cache), seed=2) == len(offsets)


def test_flips_in_headers_never_give_wrong_data(cache: FeatureCache, victim: Path) -> None:
    """One bit of each used byte of HDF5's own headers."""
    offsets = _used(victim, _headers(cache))
    assert _flip_each(victim, offsets, hostile.everything(cache), seed=3) > 500


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("bit", range(8))
def test_every_bit_of_every_header(cache: FeatureCache, victim: Path, bit: int) -> None:
    """No bit that HDF5 wrote can be flipped to wrong data, a crash or a foreign exception."""
    expected = hostile.everything(cache)
    for offset in _headers(cache):
        hostile.flip(victim, offset, 1 << bit)
        _survives(victim, expected)
        hostile.flip(victim, offset, 1 << bit)


@pytest.mark.parametrize("seed", range(3))
def test_noise_over_headers_never_gives_wrong_data(
    cache: FeatureCache, victim: Path, seed: int
) -> None:
    """Several header bytes overwritten at once."""
    rng = np.random.default_rng(seed)
    headers, original = _headers(cache), victim.read_bytes()
    expected = hostile.everything(cache)
    for _ in range(100):
        damaged = bytearray(original)
        for offset in rng.choice(headers, rng.integers(2, 40), replace=False):
            damaged[offset] = rng.integers(256)
        victim.write_bytes(damaged)
        _survives(victim, expected)


def test_truncation_is_noticed(cache: FeatureCache, victim: Path) -> None:
    """A file cut at any length is an error."""
    data, expected = victim.read_bytes(), hostile.everything(cache)
    lengths = {0, 1, 7, 8, 9, 95, 96, 97, 800, 2048, ALIGNMENT - 1, ALIGNMENT, len(data) - 1}
    lengths |= set(np.random.default_rng(4).integers(len(data), size=40).tolist())
    for length in lengths:
        victim.write_bytes(data[:length])
        assert not _survives(victim, expected), length


@pytest.mark.parametrize("tail", [b"\0", b"x" * 5000, bytes(1 << 20)])
def test_appended_bytes_change_nothing(cache: FeatureCache, victim: Path, tail: bytes) -> None:
    """What follows the file is never looked at."""
    victim.write_bytes(victim.read_bytes() + tail)
    assert _survives(victim, hostile.everything(cache))


def test_prepended_bytes_are_noticed(cache: FeatureCache, victim: Path) -> None:
    """A file that has been shifted is an error, also by what HDF5 calls a user block."""
    data, expected = victim.read_bytes(), hostile.everything(cache)
    for size in (1, 512, 1024, 4096):
        victim.write_bytes(bytes(size) + data)
        assert not _survives(victim, expected)


def test_swapped_pages_are_noticed(cache: FeatureCache, victim: Path) -> None:
    """Two pages that trade places: an error, unless they are equal."""
    data, expected = victim.read_bytes(), hostile.everything(cache)
    pages = [data[start : start + ALIGNMENT] for start in range(0, len(data), ALIGNMENT)]
    rng = np.random.default_rng(5)
    for _ in range(150):
        first, second = rng.choice(len(pages), 2, replace=False)
        mixed = pages.copy()
        mixed[first], mixed[second] = mixed[second], mixed[first]
        victim.write_bytes(b"".join(mixed))
        _survives(victim, expected)


def test_swapped_blocks_of_features_are_noticed(cache: FeatureCache, victim: Path) -> None:
    """Two blocks of one table that trade places fail their sums, and only those two."""
    with h5py.File(victim, "r+") as file:
        features = file["features"]
        features[0:10], features[20:30] = features[20:30], features[0:10]
    damaged = FeatureCache(victim).damaged_rows()
    np.testing.assert_array_equal(damaged, [*range(10), *range(20, 30)])


def test_zeroed_pages_are_noticed(cache: FeatureCache, victim: Path) -> None:
    """A page that a dying disk gives back as zeros is an error, unless it was zeros."""
    data, expected = victim.read_bytes(), hostile.everything(cache)
    for start in range(0, len(data), ALIGNMENT):
        page = data[start : start + ALIGNMENT]
        victim.write_bytes(data[:start] + bytes(len(page)) + data[start + len(page) :])
        assert _survives(victim, expected) == (not any(page))


def test_tables_of_another_cache_are_noticed(tmp_path: Path, cache: FeatureCache) -> None:
    """A table spliced in from another cache of the same shape fails its sum."""
    other = builders.make_cache(tmp_path / "other.h5", count=45, dim=16)
    for name in ("labels", "sha256", "features"):
        with hostile.clone(other.path, tmp_path / "bad.h5") as file:
            file[name][...] = file[name][...][::-1]
        with pytest.raises(CacheInvalidError, match=f"{name}|damaged"):
            _ = FeatureCache(tmp_path / "bad.h5").X


def test_flips_of_indicators_are_always_noticed(tmp_path: Path) -> None:
    """Each byte of a multilabel table, and each used byte of the headers beside it."""
    whole = builders.multilabel_tables(20)
    write_cache(tmp_path / "c.h5", whole, builders.meta(4), [builders.features(20, 4)])
    cache = FeatureCache(tmp_path / "c.h5")
    victim = Path(shutil.copy(cache.path, tmp_path / "victim.h5"))
    expected = hostile.everything(cache)
    with h5py.File(cache.path) as file:
        start, size = file["labels"].id.get_offset(), file["labels"].nbytes
    assert size == 60
    assert _flip_each(victim, range(start, start + size), expected, seed=5) == size
    _flip_each(victim, _used(victim, _headers(cache)), expected, seed=6)
