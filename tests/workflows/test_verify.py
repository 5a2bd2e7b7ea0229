import dataclasses
from pathlib import Path

import builders
import hostile
import numpy as np
import pytest
from bench import Bench, bench_of_blocks
from builders import png
from fakes import FakeBackbone

from embedcache.errors import CacheInvalidError, InputRejectedError, UsageError
from embedcache.store.cache import FeatureCache
from embedcache.store.writer import write_cache
from embedcache.workflows.verify import Verification, verify


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Twelve pictures, in blocks of four."""
    return bench_of_blocks(tmp_path, monkeypatch)


@pytest.fixture
def cache(bench: Bench) -> FeatureCache:
    """The pictures' cache."""
    return FeatureCache(bench.extract().cache)


def _verify(cache: FeatureCache, **options: object) -> Verification:
    return verify(cache.path, **({"backbone": FakeBackbone()} | options))  # type: ignore[arg-type]  # by name


def _forge(cache: FeatureCache, row: int, value: float) -> None:
    """Write another value into a row, under sums that are right."""
    features = cache.X.copy()
    features[row, 0] += value
    write_cache(cache.path, cache.tables, cache.meta, [features])


def test_a_sound_cache_passes_every_check(cache: FeatureCache) -> None:
    """Sums, rows and golden record are all looked at, and nothing is written."""
    before = cache.path.read_bytes()
    report = _verify(cache, rows=100)
    assert report.is_sound
    assert (report.rows, report.recomputed, report.golden) == (12, 12, "reproduced")
    assert (report.damaged, report.wrong, report.changed, report.notes) == (0, [], [], [])
    assert cache.path.read_bytes() == before
    json = report.to_json()
    assert json["sound"] is True
    assert json["cache"] == str(cache.path)


def test_the_sample_is_as_large_as_asked_for(cache: FeatureCache) -> None:
    """So many rows are recomputed, the same ones for the same seed."""
    backbone = FakeBackbone()
    assert _verify(cache, backbone=backbone, rows=5, seed=1).recomputed == 5
    again, other = FakeBackbone(), FakeBackbone()
    _verify(cache, backbone=again, rows=5, seed=1)
    _verify(cache, backbone=other, rows=5, seed=2)
    assert again.images == backbone.images != other.images
    assert _verify(cache, rows=0).recomputed == 0


def test_damage_is_counted_and_the_rest_still_checked(cache: FeatureCache) -> None:
    """A bad block makes the cache unsound; rows outside of it are recomputed."""
    hostile.flip_feature(cache.path, 5)
    report = _verify(cache, rows=100)
    assert not report.is_sound
    assert (report.damaged, report.recomputed, report.wrong) == (4, 8, [])


def test_damaged_tables_cannot_be_verified(cache: FeatureCache) -> None:
    """If the tables are damaged nothing in the file is believed."""
    data = cache.path.read_bytes()
    cache.path.write_bytes(data[: len(data) // 2])
    with pytest.raises(CacheInvalidError):
        _verify(cache)
    with pytest.raises(UsageError):
        verify(Path("nowhere.h5"))


def test_an_image_that_changed_since_is_no_fault_of_the_cache(
    bench: Bench, cache: FeatureCache
) -> None:
    """Images that are gone or edited are named; the row itself may well be right."""
    (bench.photos / "class0" / "000.png").unlink()
    (bench.photos / "class1" / "001.png").write_bytes(png(4711))
    report = _verify(cache, rows=100)
    assert report.is_sound
    assert report.changed == ["class0/000.png", "class1/001.png"]
    assert report.recomputed == 10


@pytest.mark.parametrize("value", [0.01, -1.0, float("nan")])
def test_a_wrong_row_under_right_sums_is_found(cache: FeatureCache, value: float) -> None:
    """Features that do not belong to the image are named, whoever wrote them."""
    _forge(cache, 7, value)
    report = _verify(cache, rows=100)
    assert not report.is_sound
    assert report.wrong == [cache.ids.text(7)]
    assert report.golden == "reproduced"


def test_swapped_rows_are_found(cache: FeatureCache) -> None:
    """Two rows that trade features are both wrong."""
    features = cache.X.copy()
    features[[2, 9]] = features[[9, 2]]
    write_cache(cache.path, cache.tables, cache.meta, [features])
    assert _verify(cache, rows=100).wrong == [cache.ids.text(2), cache.ids.text(9)]


def test_rounding_is_not_wrong(cache: FeatureCache) -> None:
    """Half a unit in the last place is what the stored dtype costs."""
    _forge(cache, 7, float(np.spacing(np.float16(0.5))))
    assert _verify(cache, rows=100).is_sound


def test_a_drifted_environment_is_unsound(cache: FeatureCache) -> None:
    """The golden record tells a drift apart from wrong rows, which are found as well."""
    report = _verify(cache, backbone=FakeBackbone(drift=0.01))
    assert not report.is_sound
    assert "drifted" in report.golden
    assert len(report.wrong) == 8


def test_a_backbone_that_gives_nan_is_unsound(cache: FeatureCache) -> None:
    """NaN is within no tolerance."""
    report = _verify(cache, backbone=FakeBackbone(spoil=float("nan")))
    assert not report.is_sound
    assert len(report.wrong) == 8


def test_a_decoder_that_refuses_the_image_is_unsound(cache: FeatureCache) -> None:
    """Whoever wrote the row could decode these bytes."""

    class Refusing(FakeBackbone):
        def prepare(self, data: bytes) -> np.ndarray:
            if data.startswith(b"\x89PNG"):
                raise InputRejectedError("CORRUPT", "not to this decoder")
            return super().prepare(data)

    report = _verify(cache, backbone=Refusing())
    assert not report.is_sound
    assert len(report.wrong) == 8


def test_another_backbone_recomputes_nothing(cache: FeatureCache) -> None:
    """Rows of other weights cannot be compared, and that is said."""
    other = FakeBackbone(dataclasses.replace(builders.IDENTITY, weights="1" * 64))
    report = _verify(cache, backbone=other)
    assert report.recomputed == 0
    (note,) = report.notes
    assert "not the one that made this cache" in note


def test_a_cache_made_in_memory_says_so(cache: FeatureCache) -> None:
    """Without the backbone that made it, sums are all that can be checked."""
    report = verify(cache.path)
    assert (report.recomputed, report.golden) == (0, "not checked")
    assert "does not say how to load" in report.notes[0]


def test_a_forged_golden_record_is_unsound(cache: FeatureCache) -> None:
    """A record that is none is told, not raised."""
    meta = dataclasses.replace(cache.meta, golden={"a": 1})
    write_cache(cache.path, cache.tables, meta, [cache.X])
    report = _verify(cache)
    assert not report.is_sound
    assert "cannot be read" in report.golden


def test_without_a_golden_record_the_rows_still_count(cache: FeatureCache) -> None:
    """Imported features have none."""
    meta = dataclasses.replace(cache.meta, golden={})
    write_cache(cache.path, cache.tables, meta, [cache.X])
    report = _verify(cache)
    assert (report.is_sound, report.golden) == (True, "not checked")
