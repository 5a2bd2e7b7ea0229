import dataclasses
import errno
import os
import shutil
from pathlib import Path

import builders
import hostile
import numpy as np
import pytest
from bench import Bench, add_photos, bench_of_blocks
from builders import png
from fakes import FakeBackbone

from embedcache.errors import (
    CacheError,
    CacheInvalidError,
    DriftError,
    FeatureOverflowError,
    IdentityMismatchError,
    LockedError,
    StorageError,
)
from embedcache.storage.locks import exclusive
from embedcache.store.cache import FeatureCache
from embedcache.store.layout import TABLES
from embedcache.store.writer import write_cache
from embedcache.workflows.repair import repair

ABSENT = {"features", "groups/data", "seen"} | {
    name for name in TABLES if "rejects/" in name and "offsets" not in name
}
"""Of the tables those that are not small, or have no byte here."""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Twelve pictures, in blocks of four."""
    return bench_of_blocks(tmp_path, monkeypatch)


@pytest.fixture
def cache(bench: Bench) -> FeatureCache:
    """The pictures' cache."""
    return FeatureCache(bench.extract().cache)


@pytest.fixture
def damaged(cache: FeatureCache) -> FeatureCache:
    """The cache, with the block of rows 4 to 7 damaged; the object has the sound file."""
    hostile.flip_feature(hostile.replaced(cache.path), 5)
    return cache


def _names(cache: FeatureCache) -> list[str]:
    return [cache.ids.text(row) for row in range(4, 8)]


def test_only_damaged_rows_are_embedded(damaged: FeatureCache) -> None:
    """One bad block of four rows costs four images, and the file is as it was before."""
    backbone = FakeBackbone()
    assert repair(damaged.path, backbone=backbone).embedded == 4
    assert backbone.passes == 4
    repaired = FeatureCache(damaged.path)
    np.testing.assert_array_equal(repaired.X, damaged.X)
    assert repaired.tables == damaged.tables
    assert repaired.content_digest == damaged.content_digest
    assert repair(damaged.path, backbone=backbone).embedded == 0
    assert backbone.passes == 4


@pytest.mark.parametrize(
    "name",
    [name for name in TABLES if name not in ABSENT],
)
def test_a_flipped_bit_of_a_table_needs_no_image(
    bench: Bench, cache: FeatureCache, name: str
) -> None:
    """The table's own sum says which it was; the file is as it was before."""
    hostile.flip_table(hostile.replaced(cache.path), name, 1 / 2)
    shutil.rmtree(bench.photos)
    done = repair(cache.path)
    assert (done.embedded, done.dropped, len(done.tables)) == (0, (), 1)
    repaired = FeatureCache(cache.path)
    np.testing.assert_array_equal(repaired.X, cache.X)
    assert repaired.tables == cache.tables
    assert repaired.content_digest == cache.content_digest
    assert repair(cache.path).tables == ()


def test_a_table_and_a_feature_at_once(damaged: FeatureCache) -> None:
    """Rows are embedded by what the mended table says."""
    hostile.flip_table(damaged.path, "ids/data", 1 / 2)
    told: list[str] = []

    class Watcher:
        def note(self, text: str) -> None:
            told.append(text)

        def progress(self, done: int, total: int) -> None:
            pass

    done = repair(damaged.path, backbone=FakeBackbone(), observer=Watcher())
    assert (done.embedded, done.tables) == (4, ("ids/data",))
    assert told == ["/ids/data is damaged: looking for one bit that was flipped"]
    assert FeatureCache(damaged.path).content_digest == damaged.content_digest


def test_more_than_a_bit_of_a_table_is_not_guessed(bench: Bench, cache: FeatureCache) -> None:
    """The file is left as it is; as the hint says, an extraction makes the table again."""
    before = cache.tables
    hostile.overwrite_table(hostile.replaced(cache.path), "labels")
    data = cache.path.read_bytes()
    with pytest.raises(CacheInvalidError, match="labels is damaged") as caught:
        repair(cache.path)
    assert f"embedcache extract {bench.photos}" in str(caught.value)
    assert cache.path.read_bytes() == data
    assert bench.extract().embedded == 0
    assert FeatureCache(cache.path).tables == before


def test_a_sound_cache_is_left_alone(cache: FeatureCache) -> None:
    """Nothing is written, and no backbone is needed."""
    status = cache.path.stat()
    assert repair(cache.path).embedded == 0
    assert cache.path.stat().st_ino == status.st_ino


def test_other_images_may_come_and_go(bench: Bench, damaged: FeatureCache) -> None:
    """A repair neither adds new images nor drops sound rows whose image is gone or edited."""
    add_photos(bench.photos / "class0", 5)
    (bench.photos / damaged.ids.text(0)).unlink()
    (bench.photos / damaged.ids.text(11)).write_bytes(png(4711))
    backbone = FakeBackbone()
    assert repair(damaged.path, backbone=backbone).embedded == 4
    assert backbone.passes == 4
    assert FeatureCache(damaged.path).content_digest == damaged.content_digest


def _lose(bench: Bench, name: str, how: str) -> None:
    path = bench.photos / name
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(png(4711) if how == "edited" else b"text")


@pytest.mark.parametrize("how", ["gone", "edited", "unreadable"])
def test_a_lost_image_stops_the_repair(bench: Bench, damaged: FeatureCache, how: str) -> None:
    """The image is named, and the file stays as it was."""
    _lose(bench, damaged.ids.text(6), how)
    before = damaged.path.read_bytes()
    with pytest.raises(CacheInvalidError, match="1 of 4 damaged rows are lost") as caught:
        repair(damaged.path, backbone=FakeBackbone())
    assert caught.value.got == damaged.ids.text(6)
    assert str(bench.photos) in str(caught.value)
    assert "--drop-lost" in str(caught.value)
    assert damaged.path.read_bytes() == before
    assert not list(damaged.path.parent.glob("*.tmp-*"))
    # As the hint says: what is there is embedded.
    assert bench.extract(prune=True).embedded in (3, 4)


@pytest.mark.parametrize("how", ["gone", "edited", "unreadable"])
def test_lost_rows_are_left_out_on_request(bench: Bench, damaged: FeatureCache, how: str) -> None:
    """The cache is sound again: the other rows of the block are embedded, the rest is as it was."""
    names = [damaged.ids.text(5), damaged.ids.text(6)]
    for name in names:
        _lose(bench, name, how)
    backbone = FakeBackbone()
    done = repair(damaged.path, drop_lost=True, backbone=backbone)
    assert (done.embedded, done.dropped, backbone.passes) == (2, tuple(names), 2)
    kept = np.array([0, 1, 2, 3, 4, 7, 8, 9, 10, 11])
    repaired = FeatureCache(damaged.path)
    np.testing.assert_array_equal(repaired.X, damaged.X[kept])
    np.testing.assert_array_equal(repaired.y, damaged.y[kept])
    np.testing.assert_array_equal(repaired.sha256, damaged.sha256[kept])
    assert repaired.ids.texts() == [damaged.ids.text(int(row)) for row in kept]
    assert repaired.classes == damaged.classes
    assert repair(damaged.path, backbone=backbone).dropped == ()


def test_what_a_tuned_backbone_has_seen_stays_with_its_row(
    bench: Bench, damaged: FeatureCache
) -> None:
    """Where rows are left out, the others keep their marks."""
    seen = (np.arange(12) % 3).astype(np.uint8)
    tables = dataclasses.replace(damaged.tables, seen=seen)
    write_cache(damaged.path, tables, damaged.meta, [damaged.X])
    hostile.flip_feature(damaged.path, 5)
    _lose(bench, damaged.ids.text(5), "gone")
    repair(damaged.path, drop_lost=True, backbone=FakeBackbone())
    np.testing.assert_array_equal(FeatureCache(damaged.path).seen, np.delete(seen, 5))


@pytest.mark.parametrize("why", ["unknown backbone", "drift"])
def test_without_a_backbone_all_damaged_rows_are_left_out(
    bench: Bench, damaged: FeatureCache, why: str
) -> None:
    """On request only, and the reason is told."""
    backbone = None
    if why == "drift":
        backbone = FakeBackbone(
            drift=0.01, numerics=FakeBackbone().with_numerics(torch="9").numerics
        )
    with pytest.raises(CacheError):
        repair(damaged.path, backbone=backbone)
    told: list[str] = []

    class Watcher:
        def note(self, text: str) -> None:
            told.append(text)

        def progress(self, done: int, total: int) -> None:
            raise AssertionError((done, total))

    done = repair(damaged.path, drop_lost=True, backbone=backbone, observer=Watcher())
    assert (done.embedded, len(done.dropped)) == (0, 4)
    assert told[0].startswith("nothing can be embedded here: ")
    repaired = FeatureCache(damaged.path)
    np.testing.assert_array_equal(repaired.X, np.delete(damaged.X, slice(4, 8), axis=0))
    # What is there is embedded when it is next asked for.
    assert bench.extract().embedded == 4


def test_a_cache_without_a_sound_row_is_not_emptied(bench: Bench, cache: FeatureCache) -> None:
    """Even on request: such a file says nothing any more."""
    for row in (1, 5, 9):
        hostile.flip_feature(cache.path, row)
    shutil.rmtree(bench.photos)
    with pytest.raises(CacheInvalidError, match="12 of 12 damaged rows are lost") as caught:
        repair(cache.path, drop_lost=True, backbone=FakeBackbone())
    assert "and 2 more" in str(caught.value)


def test_a_cache_is_repaired_where_it_lies(damaged: FeatureCache, bench: Bench) -> None:
    """A copy outside of the cache root, under any name, is repaired in its own place."""
    copy = bench.root.with_name("backup") / "my copy.h5"
    copy.parent.mkdir()
    shutil.copy(damaged.path, copy)
    assert repair(copy, backbone=FakeBackbone()).embedded == 4
    assert FeatureCache(copy).content_digest == damaged.content_digest
    assert len(FeatureCache(damaged.path).damaged_rows()) == 4


def test_the_request_survives_a_repair(damaged: FeatureCache) -> None:
    """The cache still says how to load its backbone, where its images are and what they are."""
    request = {"name": "fake/mean"}
    meta = dataclasses.replace(FeatureCache(damaged.path).meta, request=request)
    write_cache(damaged.path, damaged.tables, meta, [damaged.X])
    hostile.flip_feature(damaged.path, 5)
    repair(damaged.path, backbone=FakeBackbone())
    repaired = FeatureCache(damaged.path).meta
    assert repaired.request == request
    assert (repaired.source, repaired.root) == (meta.source, meta.root)
    assert repaired.golden == meta.golden


def test_repaired_rows_say_how_they_were_computed(damaged: FeatureCache) -> None:
    """A repair on another device records it for the repaired rows only."""
    backbone = FakeBackbone().with_numerics(device="another")
    repair(damaged.path, backbone=backbone)
    repaired = FeatureCache(damaged.path)
    assert repaired.meta.numerics == (builders.NUMERICS, backbone.numerics)
    assert repaired.tables.numerics.tolist() == [0] * 4 + [1] * 4 + [0] * 4


def test_a_drifted_environment_repairs_nothing(damaged: FeatureCache) -> None:
    """Rows of two kinds of arithmetic are not mixed unchecked."""
    before = damaged.path.read_bytes()
    backbone = FakeBackbone(drift=0.01, numerics=FakeBackbone().with_numerics(torch="9").numerics)
    with pytest.raises(DriftError):
        repair(damaged.path, backbone=backbone)
    assert damaged.path.read_bytes() == before


def test_another_backbone_repairs_nothing(damaged: FeatureCache) -> None:
    """The error names the fields that differ."""
    other = FakeBackbone(dataclasses.replace(builders.IDENTITY, pooling="cls"))
    with pytest.raises(IdentityMismatchError, match="pooling: default → cls"):
        repair(damaged.path, backbone=other)


@pytest.mark.parametrize("value", [float("nan"), 1e6])
def test_a_value_that_does_not_fit_is_not_written(damaged: FeatureCache, value: float) -> None:
    """Neither NaN nor an overflow gets into the file."""
    before = damaged.path.read_bytes()
    with pytest.raises(FeatureOverflowError):
        repair(damaged.path, backbone=FakeBackbone(spoil=value))
    assert damaged.path.read_bytes() == before


def test_a_repair_waits_for_nobody(damaged: FeatureCache) -> None:
    """While an extraction writes the same cache, the repair is refused."""
    with (
        exclusive(damaged.path.with_name(f".{damaged.path.stem}.lock")),
        pytest.raises(LockedError),
    ):
        repair(damaged.path, backbone=FakeBackbone())


def test_an_extraction_and_a_repair_share_one_lock(bench: Bench, damaged: FeatureCache) -> None:
    """The repair takes the lock that extractions take."""
    refused = []

    def extract(_: int) -> None:
        with pytest.raises(LockedError):
            Bench(bench.photos, bench.root).extract()
        refused.append(True)

    repair(damaged.path, backbone=FakeBackbone(before_batch=extract))
    assert refused


def test_a_full_disk_keeps_the_damaged_file(
    damaged: FeatureCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 5, and what was sound before still is."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = damaged.path.read_bytes()
    monkeypatch.setattr("embedcache.store.writer._allocate", full)
    with pytest.raises(StorageError):
        repair(damaged.path, backbone=FakeBackbone())
    assert damaged.path.read_bytes() == before


def test_progress_is_told(damaged: FeatureCache) -> None:
    """A person sees how many damaged rows are done."""
    seen = []

    class Watcher:
        def note(self, text: str) -> None:
            raise AssertionError(text)

        def progress(self, done: int, total: int) -> None:
            seen.append((done, total))

    repair(damaged.path, backbone=FakeBackbone().with_numerics(batch_size=3), observer=Watcher())
    assert seen == [(3, 4), (4, 4)]
