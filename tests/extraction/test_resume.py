"""Interrupt an extraction anywhere, run it again: bit-equal, and no finished job is repeated."""

import errno
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import hostile
import numpy as np
import pytest
from bench import Bench, add_photos
from builders import image_folder, png
from fakes import FakeBackbone

from embedcache.backbones.base import BackboneRequest
from embedcache.errors import RejectedInputsError, StorageError
from embedcache.extraction.extract import extract
from embedcache.extraction.plan import Plan
from embedcache.extraction.records import ExtractOptions
from embedcache.records.backbone import BackboneSpec
from embedcache.store.cache import FeatureCache
from embedcache.workflows.extract import extract_source

pytestmark = pytest.mark.usefixtures("small_jobs", "fixed_date")

_COUNT = 30
"""Pictures: four jobs of eight, the last with six; batches of four."""

_PASSES = 28
"""Two of them are copies."""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Thirty pictures, two of which have the same bytes as another."""
    photos = image_folder(tmp_path / "photos", 3, 10)
    shutil.copy(photos / "class0" / "000.png", photos / "class0" / "005.png")
    shutil.copy(photos / "class0" / "001.png", photos / "class2" / "009.png")
    return Bench(photos, tmp_path / "cache")


def _interrupt_at(batch: int) -> FakeBackbone:
    def stop(batches: int) -> None:
        if batches == batch:
            raise KeyboardInterrupt

    return FakeBackbone(before_batch=stop)


def _interrupted(bench: Bench, batch: int, **options: Any) -> FakeBackbone:
    """Extract until the given batch."""
    backbone = _interrupt_at(batch)
    with pytest.raises(KeyboardInterrupt):
        bench.extract(backbone=backbone, **options)
    return backbone


@pytest.fixture
def whole(bench: Bench) -> bytes:
    """The file that an uninterrupted run writes."""
    other = Bench(bench.photos, bench.root.with_name("other cache"))
    return other.extract().cache.read_bytes()


@pytest.mark.parametrize(
    ("batch", "believed"), [*((batch, False) for batch in range(8)), (3, True), (6, True)]
)
def test_a_resumed_run_is_bit_equal(
    bench: Bench, whole: bytes, batch: int, *, believed: bool, request: pytest.FixtureRequest
) -> None:
    """Wherever the first run stops, the second makes the same file and repeats one job at most."""
    if believed:
        request.getfixturevalue("settled")
    first = _interrupted(bench, batch)
    assert bench.published() == []
    result = bench.extract()
    assert result.cache.read_bytes() == whole
    assert bench.works() == []
    safe = sum(first.batches[: batch - batch % 2])  # two batches a job
    assert not set(first.images[:safe]) & set(bench.backbone.images)
    assert safe + bench.backbone.passes == _PASSES
    assert result.rows == _COUNT
    assert any("resuming" in note for note in bench.notes)


def test_batches_are_the_same_after_a_resume(bench: Bench, whole: bytes) -> None:
    """The plan of the first run is obeyed, also where another would be made today."""
    (bench.photos / "class1" / "003.png").write_bytes(b"text")
    whole_run = Bench(bench.photos, bench.root.with_name("third cache"))
    expected = whole_run.extract()
    first = _interrupted(bench, 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("embedcache.extraction.plan._LEAST_ROWS", 16)
        result = bench.extract(backbone=FakeBackbone().with_numerics(batch_size=4))
    assert first.batches[:4] + bench.backbone.batches == whole_run.backbone.batches
    assert result.cache.read_bytes() == expected.cache.read_bytes() != whole


def test_interrupting_again_and_again_ends(bench: Bench, whole: bytes) -> None:
    """Each run that gets one job further is enough."""
    total = 0
    for _ in range(3):
        total += _interrupted(bench, 3).passes
    result = bench.extract()
    assert result.cache.read_bytes() == whole
    assert total + bench.backbone.passes <= _PASSES + 3 * 8


def test_images_may_change_between_the_runs(bench: Bench) -> None:
    """What the plan does not know is embedded after it; what is gone is left out."""
    first = _interrupted(bench, 4)
    add_photos(bench.photos / "class1", 5)
    (bench.photos / "class2" / "008.png").unlink()
    (bench.photos / "class2" / "007.png").write_bytes(png(4711))
    (bench.photos / "class0" / "002.png").write_bytes(png(4712))
    result = bench.extract()
    assert result.rows == 34
    assert not set(first.images[:14]) & set(bench.backbone.images)


def test_another_batch_size_makes_a_new_plan(bench: Bench) -> None:
    """Finished jobs are kept; the rest goes on as asked for now."""
    first = _interrupted(bench, 4)
    bench.extract(backbone=FakeBackbone().with_numerics(batch_size=2), batch_size=2)
    assert max(bench.backbone.batches) == 2
    assert not set(first.images[:15]) & set(bench.backbone.images)


def test_overwriting_resumes_too(bench: Bench) -> None:
    """An interrupted `--overwrite` goes on where it stopped and reuses nothing older."""
    bench.extract()
    first = _interrupted(bench, 4, overwrite=True)
    result = bench.extract(overwrite=True)
    assert bench.backbone.passes == _PASSES - sum(first.batches[:4])
    assert result.rows == _COUNT
    assert bench.works() == []


def _damage(kind: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        data = path.read_bytes()
        match kind:
            case "deleted":
                path.unlink()
            case "empty":
                path.write_bytes(b"")
            case "cut":
                path.write_bytes(data[: len(data) // 2])
            case "garbage":
                path.write_bytes(b"\xff{garbage" * 99)
            case "flipped":
                middle = len(data) // 2
                path.write_bytes(data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :])

    return change


@pytest.mark.parametrize("kind", ["deleted", "empty", "cut", "garbage", "flipped"])
@pytest.mark.parametrize("victim", ["plan.json", "plan.samples", "shard-*.h5", "files-*.index"])
def test_damaged_work_does_no_harm(
    bench: Bench, whole: bytes, kind: str, victim: str, settled: None
) -> None:
    """A plan, shard or index that is damaged costs work, and the result is the same."""
    _interrupted(bench, 5)
    (work,) = bench.works()
    damaged = sorted(work.glob(victim))
    assert damaged
    _damage(kind)(damaged[0])
    result = bench.extract()
    assert result.cache.read_bytes() == whole
    assert bench.works() == []
    assert bench.extract().embedded == 0


@pytest.mark.parametrize("kind", ["empty", "cut", "garbage", "flipped"])
def test_a_damaged_files_index_does_no_harm(bench: Bench, kind: str, settled: None) -> None:
    """Files are read again, and nothing is embedded."""
    bench.extract()
    (index,) = bench.root.glob("*/files.index")
    _damage(kind)(index)
    result = bench.extract()
    assert (result.embedded, result.published, len(bench.progress)) == (0, False, _COUNT)
    assert bench.extract().embedded == 0
    assert not bench.progress, "the index has been written again"


def test_every_byte_of_the_plan_counts(bench: Bench) -> None:
    """A plan with one changed character is not obeyed."""
    _interrupted(bench, 3)
    (work,) = bench.works()
    plan = Plan.load(work)
    assert plan is not None
    for name in ("plan.json", "plan.samples"):
        data = (work / name).read_bytes()
        for position in range(len(data)):
            for mask in (1, 4):
                damaged = bytearray(data)
                damaged[position] ^= mask
                (work / name).write_bytes(damaged)
                read = Plan.load(work)
                # White space between the entries of the header may be any.
                assert read is None or data[position : position + 1].isspace()
        (work / name).write_bytes(data)


def test_shards_of_damaged_features_are_embedded_again(
    bench: Bench, whole: bytes, small_blocks: None
) -> None:
    """Only the rows of the damaged block of a shard are lost."""
    other = Bench(bench.photos, bench.root.with_name("other small cache")).extract()
    _interrupted(bench, 5)
    (work,) = bench.works()
    hostile.flip_feature(min(work.glob("shard-*.h5")), 0)
    result = bench.extract()
    np.testing.assert_array_equal(FeatureCache(result.cache).X, FeatureCache(other.cache).X)
    assert bench.works() == []


def test_a_retried_reject_does_not_cost_its_job(bench: Bench, tmp_path: Path) -> None:
    """A job that is visited again for one unreadable file keeps what it had finished."""
    missing = "class0/004.png"
    paths = sorted(path.relative_to(bench.photos) for path in bench.photos.rglob("*.png"))
    (bench.photos / missing).unlink()
    table = bench.photos / "table.csv"
    table.write_text("\n".join(["path", *map(str, paths)]))
    first = _interrupted(bench, 4, source=table)
    # Both runs try the missing file again, which belongs to the first job.
    second = _interrupted(bench, 1, source=table)
    result = bench.extract(table)
    assert result.rejected == 1
    done = set(first.images[:14])
    assert not done & set(second.images)
    assert not done & set(bench.backbone.images)


def test_a_full_disk_half_way_loses_nothing(
    bench: Bench, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 5; finished jobs stay, and the same command completes once there is room."""
    from embedcache.store import writer

    allocate, calls = writer._allocate, 0

    def room_for_one(descriptor: int, size: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        allocate(descriptor, size)

    passes = 0
    for _ in range(4):
        calls = 0
        with monkeypatch.context() as patch:
            patch.setattr(writer, "_allocate", room_for_one)
            with pytest.raises(StorageError, match="no space") as caught:
                bench.extract()
        assert caught.value.exit_code == 5
        assert "needed" in str(caught.value)
        assert caught.value.where is not None
        assert bench.published() == []
        assert not list(bench.root.rglob("*.tmp-*"))
        passes += bench.backbone.passes
    result = bench.extract()
    assert result.cache.read_bytes() == whole
    assert bench.backbone.passes == 0, "four jobs had been finished"
    assert passes <= _PASSES + 3 * 8


def test_a_full_disk_keeps_the_live_cache(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the update does not fit, the published file stays and is not embedded again."""
    from embedcache.store import writer

    live = bench.extract().cache
    before = live.read_bytes()
    add_photos(bench.photos / "class1", 2)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(writer, "_allocate", full)
        with pytest.raises(StorageError):
            bench.extract()
    assert live.read_bytes() == before
    assert bench.extract().embedded == 2


def test_a_publication_that_fails_is_repeated_without_embedding(
    bench: Bench, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If only the last step fails, all jobs are done."""
    from embedcache.extraction import publication

    def fail(*_: object) -> None:
        raise StorageError("no space left for this file")

    with monkeypatch.context() as patch:
        patch.setattr(publication, "write_cache", fail)
        with pytest.raises(StorageError):
            bench.extract()
    result = bench.extract()
    assert bench.backbone.passes == 0
    assert result.cache.read_bytes() == whole


def test_a_kill_after_publishing_is_cleaned_up(
    bench: Bench, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards that are published already go with the next run."""
    from embedcache.extraction import extract

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(extract, "clean_up", killed)
        with pytest.raises(KeyboardInterrupt):
            bench.extract()
    assert bench.works()
    result = bench.extract()
    assert (result.embedded, result.published, bench.works()) == (0, False, [])
    assert result.cache.read_bytes() == whole


def test_shards_of_images_that_are_gone_are_kept(bench: Bench) -> None:
    """What was embedded and not published stays for the day when the images return."""
    _interrupted(bench, 4)
    gone = bench.root.with_name("gone")
    shutil.move(bench.photos / "class0", gone)
    result = bench.extract()
    assert result.rows == 20
    assert len(bench.works()) == 1
    shutil.move(gone, bench.photos / "class0")
    result = bench.extract()
    assert (result.rows, bench.works()) == (_COUNT, [])
    assert bench.backbone.passes <= 2


# -- a backbone that is loaded only when needed ---------------------------------------


class _Lazy:
    """Loads the fake backbone on request and counts how often."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loaded = 0
        self.backbone = FakeBackbone()
        index, load = ModuleType("index"), ModuleType("load")
        index.resolve_spec = self._spec  # type: ignore[attr-defined]  # a stand-in
        index.remember_spec = lambda *_: None  # type: ignore[attr-defined]  # likewise
        load.load_backbone = self._load  # type: ignore[attr-defined]  # likewise
        monkeypatch.setitem(sys.modules, "embedcache.backbones.index", index)
        monkeypatch.setitem(sys.modules, "embedcache.backbones.load", load)

    def _spec(self, *_: object) -> BackboneSpec:
        return self.backbone.spec

    def _load(self, *_: object, **_how: object) -> FakeBackbone:
        self.loaded += 1
        self.backbone.weight_files = ()  # type: ignore[attr-defined]  # as torch backbones have
        return self.backbone


@pytest.fixture
def lazy(monkeypatch: pytest.MonkeyPatch) -> _Lazy:
    """A backbone that has to be asked for by name."""
    return _Lazy(monkeypatch)


def test_a_backbone_is_not_loaded_without_need(bench: Bench, lazy: _Lazy, tmp_path: Path) -> None:
    """Neither for the same data, nor for a copy, nor for more copies is it ever loaded."""
    extract_source(bench.photos, "fake/mean", cache_dir=bench.root)
    assert lazy.loaded == 1
    lazy.backbone = FakeBackbone()
    copy = Path(shutil.copytree(bench.photos, tmp_path / "copy"))
    shutil.copy(copy / "class0" / "000.png", copy / "class1" / "again.png")
    for source in (bench.photos, copy):
        result = extract_source(source, "fake/mean", cache_dir=bench.root)
        assert result.embedded == 0
    assert lazy.loaded == 1
    (copy / "class1" / "new.png").write_bytes(png(4711))
    assert extract_source(copy, "fake/mean", cache_dir=bench.root).embedded == 1
    assert lazy.loaded == 2


def test_a_first_job_of_rejects_is_resumed_from(bench: Bench, lazy: _Lazy) -> None:
    """A shard without a single row is no obstacle to going on."""
    for path in sorted(bench.photos.rglob("*.png"))[:8]:
        path.write_bytes(b"text of " + path.name.encode())
    lazy.backbone = _interrupt_at(3)
    with pytest.raises(KeyboardInterrupt):
        extract_source(bench.photos, "fake/mean", cache_dir=bench.root)
    (work,) = bench.works()
    (work / "plan.json").unlink()
    lazy.backbone = FakeBackbone()
    result = extract_source(bench.photos, "fake/mean", cache_dir=bench.root)
    assert (result.rows, result.rejected) == (22, 8)


def test_only_rejects_are_remembered(bench: Bench, lazy: _Lazy) -> None:
    """Where all images of the first run were bad, a good one later is embedded."""
    paths = sorted(bench.photos.rglob("*.png"))
    for path in paths:
        path.write_bytes(b"text of " + path.name.encode())
    for _ in range(2):
        with pytest.raises(RejectedInputsError):
            extract_source(bench.photos, "fake/mean", cache_dir=bench.root)
    paths[0].write_bytes(png(1))
    result = extract_source(bench.photos, "fake/mean", cache_dir=bench.root)
    assert (result.rows, result.embedded) == (1, 1)


def test_a_drifted_backbone_is_given_to_no_thread(bench: Bench, lazy: _Lazy) -> None:
    """If the golden check fails on the thread that loads it, no other thread gets it."""
    from embedcache.datasets.source import open_source
    from embedcache.errors import DriftError

    extract_source(bench.photos, "fake/mean", cache_dir=bench.root)
    add_photos(bench.photos / "class1", 20)
    lazy.backbone = FakeBackbone().with_numerics(device="another")
    lazy.backbone.drift = 0.5
    with pytest.raises(DriftError):
        extract(
            open_source(bench.photos),
            bench.published()[0].parent.name,
            BackboneRequest("fake/mean"),
            ExtractOptions(cache_dir=bench.root, workers=4),
        )
    assert lazy.backbone.passes == 0
    assert not [path for work in bench.works() for path in work.glob("shard-*")]
