from pathlib import Path

import builders
import hostile
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from embedcache.store.cache import FeatureCache
from embedcache.store.lookup import RowLookup


class _Rows:
    """As much of a cache as a lookup sees: its digests, and which rows are damaged."""

    def __init__(self, digests: list[bytes], damaged: list[int]) -> None:
        self.sha256 = _array(digests)
        self._damaged = damaged

    def __len__(self) -> int:
        return len(self.sha256)

    def damaged_rows(self) -> NDArray[np.int64]:
        return np.array(self._damaged, np.int64)


def _array(digests: list[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)


# Few prefixes and few endings, so that digests often share their first eight bytes.
_DIGESTS = st.builds(
    lambda start, end: bytes([start] * 8 + [end] * 24), st.integers(0, 3), st.integers(0, 9)
)


@st.composite
def _caches(draw: st.DrawFn) -> list[_Rows]:
    caches = []
    for digests in draw(st.lists(st.lists(_DIGESTS, max_size=12), max_size=40)):
        damaged = [row for row in range(len(digests)) if draw(st.integers(0, 4)) == 0]
        caches.append(_Rows(digests, damaged))
    return caches


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_caches(), st.lists(_DIGESTS))
def test_lookups_agree_with_a_dict(caches: list[_Rows], asked: list[bytes]) -> None:
    """One by one and all at once, the first sound row of a digest is found, or none."""
    expected: dict[bytes, tuple[int, int]] = {}
    lookup = RowLookup()
    for number, cache in enumerate(caches):
        lookup.add(cache)  # type: ignore[arg-type]  # all that is asked of a cache
        for row in sorted(set(range(len(cache))) - set(cache.damaged_rows().tolist())):
            expected.setdefault(cache.sha256[row].tobytes(), (number, row))
    found = [lookup.find(digest) for digest in asked]
    assert found == [expected.get(digest) for digest in asked]
    numbers, rows = lookup.find_all(_array(asked))
    pairs = [(int(number), int(row)) for number, row in zip(numbers, rows, strict=True)]
    # Among equal digests the two may choose different rows, of the same digest always.
    for digest, pair in zip(asked, pairs, strict=True):
        if digest in expected:
            assert caches[pair[0]].sha256[pair[1]].tobytes() == digest
            assert pair[1] not in caches[pair[0]].damaged_rows()
        else:
            assert pair == (-1, -1)


def test_every_sound_row_is_counted() -> None:
    """The length is the number of rows on offer."""
    lookup = RowLookup()
    assert len(lookup) == 0
    for _ in range(40):
        lookup.add(_Rows([bytes(32), bytes([1] * 32)], [1]))  # type: ignore[arg-type]
    assert len(lookup) == 40


def test_damaged_features_are_not_offered(cache: FeatureCache) -> None:
    """A row whose features fail their sum counts as not cached."""
    hostile.flip_feature(cache.path, 13)
    damaged = FeatureCache(cache.path)
    lookup = RowLookup()
    lookup.add(damaged)
    numbers, rows = lookup.find_all(damaged.sha256)
    assert set(np.flatnonzero(numbers < 0)) == set(range(10, 20))
    assert lookup.find(damaged.sha256[13].tobytes()) is None
    assert lookup.find(damaged.sha256[9].tobytes()) == (0, 9)
    np.testing.assert_array_equal(rows[:10], range(10))


def test_an_empty_cache_offers_nothing(tmp_path: Path) -> None:
    """A file without rows, as a shard of rejects only, does no harm."""
    lookup = RowLookup()
    lookup.add(builders.make_cache(tmp_path / "c.h5", count=0))
    assert lookup.find(bytes(32)) is None
    assert lookup.find_all(np.zeros((2, 32), np.uint8))[0].tolist() == [-1, -1]
    assert lookup.find_all(np.zeros((0, 32), np.uint8))[0].shape == (0,)
