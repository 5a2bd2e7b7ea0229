import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from bench import Bench, add_photos
from fakes import FakeBackbone
from hypothesis import given
from hypothesis import strategies as st

from embedcache.datasets.source import open_source
from embedcache.extraction.survey import limit_manifest, sibling_note
from embedcache.records.manifest import Manifest, SourceRecord
from embedcache.records.strings import Strings
from embedcache.store.cache import FeatureCache
from embedcache.store.catalog import CachePlace


def _manifest(count: int) -> Manifest:
    return Manifest(
        SourceRecord("folder", "/x"),
        "/x",
        Strings.of(f"{index:04d}" for index in range(count)),
        np.zeros(count, np.int32),
        Strings.of(["a"]),
        np.zeros(count, np.uint8),
        np.full(count, -1, np.int32),
        Strings.of([]),
    )


@given(st.integers(1, 300), st.integers(1, 300))
def test_a_limit_takes_exactly_so_many_spread_evenly(count: int, limit: int) -> None:
    """No gap between the chosen is more than one longer than another, nor is one taken twice."""
    chosen = list(map(int, limit_manifest(_manifest(count), limit, None).ids))
    assert len(chosen) == min(count, limit)
    assert chosen == sorted(set(chosen))
    gaps = np.diff(chosen)
    assert not len(gaps) or gaps.max() - gaps.min() <= 1


def test_no_limit_is_no_limit() -> None:
    """All samples, or more than there are, leave the manifest as it is."""
    manifest = _manifest(5)
    assert limit_manifest(manifest, None, None) is manifest
    assert limit_manifest(manifest, 5, None) is manifest


def test_cached_rows_come_on_top_of_the_limit(bench: Bench) -> None:
    """What is cached is cheap, and never left out."""
    live = FeatureCache(bench.extract(limit=6).cache)
    add_photos(bench.photos / "class1", 20)
    manifest = limit_manifest(open_source(bench.photos), 2, live)
    assert set(live.ids) <= set(manifest.ids)
    assert len(manifest) <= 8


def test_the_newest_sibling_is_named(bench: Bench) -> None:
    """Only caches of the same data set and architecture are worth a note."""
    spec = FakeBackbone().spec
    first = bench.extract().cache
    place = CachePlace(bench.root, first.parent.name, spec.name, spec.identity)
    assert sibling_note(place, spec) is None, "it differs in nothing"
    elsewhere = CachePlace(bench.root, "elsewhere", spec.name, spec.identity)
    assert sibling_note(elsewhere, spec) is None
    damaged = first.with_name("damaged.h5")
    shutil.copy(first, damaged)
    damaged.write_bytes(b"damaged")
    os.utime(damaged, (2e9, 2e9))
    assert sibling_note(place, spec) is None, "a damaged one says nothing"


@pytest.mark.parametrize("name", ["files.index", ".index"])
def test_indexes_may_be_deleted_at_any_time(bench: Bench, name: str, settled: None) -> None:
    """They are disposable: without them files are read, and nothing is embedded."""
    bench.extract()
    for path in [*bench.root.glob(f"*/{name}"), *bench.root.glob(name)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert bench.extract().embedded == 0


def test_an_empty_manifest_cannot_come_from_a_folder(tmp_path: Path) -> None:
    """A folder without images never reaches an extraction."""
    from embedcache.errors import SourceError

    with pytest.raises(SourceError):
        Bench(tmp_path, tmp_path / "cache").extract()
    assert not (tmp_path / "cache").exists()
