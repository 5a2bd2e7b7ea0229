"""Nothing is embedded twice, and nothing stale is ever reused."""

import csv
import dataclasses
import io
import os
import shutil
import time
from pathlib import Path

import builders
import hostile
import numpy as np
import pytest
from bench import Bench, add_photos
from builders import image_folder, png
from fakes import FakeBackbone
from numpy.typing import NDArray
from PIL import Image

from embedcache.errors import CacheInvalidError, LockedError, ShrinkError
from embedcache.records.identity import Identity
from embedcache.store.cache import FeatureCache


def _bmp(seed: int) -> bytes:
    """A picture whose file has the same size for every seed."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png(seed))).save(buffer, "BMP")
    return buffer.getvalue()


def _write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


# -- nothing twice -----------------------------------------------------------------


def test_the_first_run_embeds_every_image_once(bench: Bench) -> None:
    """Twelve images are twelve rows, and nothing unfinished is left."""
    result = bench.extract()
    assert (result.rows, result.embedded, result.published) == (12, 12, True)
    assert bench.backbone.passes == 12
    assert len(set(bench.backbone.images)) == 12
    assert bench.published() == [result.cache]
    assert bench.works() == []
    assert bench.progress == [(done, 12) for done in range(1, 13)]


@pytest.mark.parametrize("believed", [True, False])
def test_the_second_run_embeds_nothing(
    bench: Bench, *, believed: bool, request: pytest.FixtureRequest
) -> None:
    """Whether files are believed by their stat or read again, the cache stays as it is."""
    if believed:
        request.getfixturevalue("settled")
    first = bench.extract()
    status = first.cache.stat()
    result = bench.extract()
    assert (result.embedded, result.reused, result.published) == (0, 12, False)
    assert (bench.backbone.passes, bench.backbone.prepared) == (0, 0)
    assert (first.cache.stat().st_ino, first.cache.stat().st_mtime_ns) == (
        status.st_ino,
        status.st_mtime_ns,
    )
    assert bool(bench.progress) != believed


def test_checksum_reads_every_byte_and_embeds_nothing(bench: Bench, settled: None) -> None:
    """`--checksum` believes no stat."""
    bench.extract()
    result = bench.extract(checksum=True)
    assert (result.embedded, bench.backbone.passes, len(bench.progress)) == (0, 0, 12)


@pytest.mark.parametrize("name", [None, "mine"])
def test_a_moved_data_set_embeds_nothing(bench: Bench, tmp_path: Path, name: str | None) -> None:
    """The same data under another root is a full hit, and the cache knows the new place."""
    bench.extract(name=name)
    moved = tmp_path / "elsewhere" / "photos"
    shutil.move(bench.photos, moved)
    result = bench.extract(moved, name=name)
    assert (result.embedded, result.reused, bench.backbone.passes) == (0, 12, 0)
    cache = FeatureCache(result.cache)
    assert cache.meta.root == str(moved)
    assert cache.meta.source.location == str(moved)
    assert len(bench.published()) == (2 if name is None else 1)


def test_a_copied_data_set_embeds_nothing(bench: Bench, tmp_path: Path) -> None:
    """Rows are found in every cache of the identity under the root."""
    bench.extract()
    copy = Path(shutil.copytree(bench.photos, tmp_path / "copy"))
    (copy / "class0" / "000.png").write_bytes(png(4711))
    assert bench.extract(copy).embedded == 1
    assert bench.extract(copy).embedded == 0


def test_renamed_and_relabelled_images_embed_nothing(bench: Bench) -> None:
    """New names and other classes cost nothing and are what the cache says afterwards."""
    bench.extract()
    (bench.photos / "class0" / "000.png").rename(bench.photos / "class0" / "new name.png")
    (bench.photos / "class1" / "001.png").rename(bench.photos / "class2" / "moved.png")
    result = bench.extract()
    assert (result.embedded, result.rows, bench.backbone.passes) == (0, 12, 0)
    ids = FeatureCache(result.cache).ids.texts()
    assert "class0/new name.png" in ids
    assert "class1/001.png" not in ids


def test_changed_labels_and_splits_embed_nothing(bench: Bench, tmp_path: Path) -> None:
    """A table that says otherwise is the same features under other labels."""
    paths = sorted(path.relative_to(bench.photos) for path in bench.photos.rglob("*.png"))
    rows = [{"path": str(path), "label": path.parts[0], "split": "train"} for path in paths]
    table = _write_csv(bench.photos / "table.csv", rows)
    first = bench.extract(table)
    assert first.embedded == 12
    rows[0] |= {"label": "other", "split": "test"}
    _write_csv(table, rows)
    result = bench.extract(table)
    assert (result.embedded, result.published, bench.backbone.passes) == (0, True, 0)
    cache = FeatureCache(result.cache)
    assert cache.classes[cache.y[0]] == "other"
    assert cache.select(split="test").tolist() == [0]


def test_new_images_cost_only_themselves(bench: Bench) -> None:
    """Ten added are ten embedded."""
    bench.extract()
    add_photos(bench.photos / "class1", 10)
    result = bench.extract()
    assert (result.embedded, result.reused, result.rows) == (10, 12, 22)
    assert bench.backbone.passes == 10


def test_an_edited_image_costs_itself(bench: Bench) -> None:
    """Other bytes under an old name are one image to embed."""
    bench.extract()
    (bench.photos / "class2" / "003.png").write_bytes(png(4711))
    assert (bench.extract().embedded, bench.backbone.passes) == (1, 1)


@pytest.mark.parametrize("believed", [True, False])
def test_an_edit_that_hides_is_found(
    bench: Bench, *, believed: bool, request: pytest.FixtureRequest
) -> None:
    """Same name, size and mtime: the change time, or the bytes, tell."""
    if believed:
        request.getfixturevalue("settled")
    path = bench.photos / "class0" / "picture.bmp"
    path.write_bytes(_bmp(1))
    os.utime(path, (1_000_000_000, 1_000_000_000))
    before = path.stat()
    bench.extract()
    time.sleep(0.02)  # a tick of the file system's clock, so that the change time can move
    with path.open("r+b") as file:
        file.write(_bmp(2))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (
        before.st_size,
        before.st_mtime_ns,
        before.st_ino,
    )
    assert bench.extract().embedded == 1


def test_an_edit_within_the_same_tick_is_found(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file read right after a change is not believed later, however long the run lasted."""
    monkeypatch.setattr("embedcache.extraction.files_index._is_trusted", lambda _: True)
    path = bench.photos / "class0" / "picture.bmp"
    path.write_bytes(_bmp(1))
    started = time.time_ns()
    # The clock leaps once all images have been read: the index is written much later.
    leap = 0
    backbone = FakeBackbone()

    def jump(batches: int) -> None:
        nonlocal leap
        leap = 60 * 10**9 if batches == 3 else 0

    backbone.before_batch = jump
    monkeypatch.setattr(
        "embedcache.extraction.files_index.time.time_ns", lambda: started + leap + 10**8
    )
    assert bench.extract(backbone=backbone).embedded == 13
    stat = path.stat()
    path.write_bytes(_bmp(2))
    # As if the second change had come within the first one's tick.
    real = os.stat

    def same_tick(where: object, **how: object) -> os.stat_result:
        result = real(where, **how)  # type: ignore[arg-type]  # handed through
        return stat if result.st_ino == stat.st_ino else result

    monkeypatch.setattr("embedcache.extraction.files_index.os.stat", same_tick)
    assert bench.extract().embedded == 1


def test_the_same_bytes_embed_once(bench: Bench) -> None:
    """Copies within a run are rows of their own with one pass between them."""
    original = (bench.photos / "class0" / "000.png").read_bytes()
    for index in range(5):
        (bench.photos / "class1" / f"copy{index}.png").write_bytes(original)
    result = bench.extract()
    assert (result.rows, result.embedded, result.duplicates) == (17, 12, 5)
    assert bench.backbone.passes == 12
    (bench.photos / "class2" / "late copy.png").write_bytes(original)
    result = bench.extract()
    assert (result.rows, result.embedded, bench.backbone.passes) == (18, 0, 0)


def test_copies_across_jobs_embed_once(bench: Bench, small_jobs: None) -> None:
    """A job knows what an earlier job of the same run embedded."""
    original = (bench.photos / "class0" / "000.png").read_bytes()
    for index in range(20):
        (bench.photos / "class2" / f"copy{index}.png").write_bytes(original)
    result = bench.extract()
    assert (result.rows, result.embedded, result.duplicates) == (32, 12, 20)


def test_removed_images_leave_the_cache(bench: Bench) -> None:
    """A row whose image is gone goes with it, and costs nothing when the image returns."""
    bench.extract()
    path = bench.photos / "class0" / "000.png"
    data = path.read_bytes()
    path.unlink()
    assert bench.extract().rows == 11
    path.write_bytes(data)
    assert bench.extract().embedded == 1


# -- options -----------------------------------------------------------------------


def test_limit_spreads_over_the_source(bench: Bench) -> None:
    """A few images are taken from every class."""
    result = bench.extract(limit=3)
    assert (result.rows, result.embedded) == (3, 3)
    assert len(set(FeatureCache(result.cache).y.tolist())) == 3


def test_limit_keeps_published_rows(bench: Bench) -> None:
    """A quick look at a cached data set never takes rows away."""
    bench.extract()
    result = bench.extract(limit=2)
    assert (result.rows, result.embedded, result.published) == (12, 0, False)
    add_photos(bench.photos / "class1", 8)
    result = bench.extract(limit=20)
    assert (result.rows, result.embedded) == (20, 8)


def test_another_data_set_under_the_same_name_needs_prune(bench: Bench, tmp_path: Path) -> None:
    """A source that is as large, and shares nothing, does not replace the first unnoticed."""
    first = bench.extract(name="shared").cache.read_bytes()
    other = tmp_path / "other"
    for index in range(12):
        place = other / "elsewhere" / f"{index}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(png(5000 + index))
    with pytest.raises(ShrinkError, match="12 of its 12 rows"):
        bench.extract(other, name="shared")
    assert bench.published()[0].read_bytes() == first
    result = bench.extract(other, name="shared", prune=True)
    assert (result.rows, result.embedded) == (12, 0), "what was embedded before is not lost"


def test_losing_many_rows_needs_prune(bench: Bench) -> None:
    """A half-mounted disk does not empty the cache; `--prune` says that it is meant."""
    first = bench.extract()
    before = first.cache.read_bytes()
    shutil.rmtree(bench.photos / "class1")
    with pytest.raises(ShrinkError, match="lose 4 of its 12 rows") as caught:
        bench.extract()
    assert caught.value.exit_code == 4
    assert "--prune" in str(caught.value)
    assert first.cache.read_bytes() == before
    result = bench.extract(prune=True)
    assert (result.rows, result.embedded) == (8, 0)


def test_a_tenth_may_go_without_asking(tmp_path: Path) -> None:
    """Tidying up is not a half-mounted disk."""
    bench = Bench(image_folder(tmp_path / "photos", 2, 10), tmp_path / "cache")
    bench.extract()
    for name in ("000.png", "001.png"):
        (bench.photos / "class0" / name).unlink()
    assert bench.extract().rows == 18


def test_a_source_that_vanishes_half_way_takes_nothing_along(bench: Bench) -> None:
    """Images that cannot be found any more do not shrink the cache; what was done is kept."""
    first = bench.extract()
    before = first.cache.read_bytes()
    add_photos(bench.photos / "class0", 6, seed=60_000)

    class Unmounting(FakeBackbone):
        def prepare(self, data: bytes) -> NDArray[np.uint8]:
            shutil.rmtree(bench.photos / "class1", ignore_errors=True)
            shutil.rmtree(bench.photos / "class2", ignore_errors=True)
            return super().prepare(data)

    backbone = Unmounting()
    with pytest.raises(ShrinkError, match="lose"):
        bench.extract(backbone=backbone, num_workers=1)
    assert backbone.passes == 6
    assert first.cache.read_bytes() == before
    assert bench.extract(prune=True).embedded == 0


def test_overwrite_embeds_everything_again(bench: Bench) -> None:
    """`--overwrite` reuses nothing, neither from this cache nor from another."""
    bench.extract()
    result = bench.extract(overwrite=True)
    assert (result.embedded, result.reused, bench.backbone.passes) == (12, 0, 12)
    assert bench.works() == []
    assert bench.extract().embedded == 0


def test_two_extractions_at_once_are_refused(bench: Bench) -> None:
    """The second of two is told to wait; the first is not disturbed."""
    refused = []

    def again(_: int) -> None:
        with pytest.raises(LockedError) as caught:
            Bench(bench.photos, bench.root).extract()
        refused.append(caught.value)

    assert bench.extract(backbone=FakeBackbone(before_batch=again)).rows == 12
    assert len(refused) == 3
    assert str(os.getpid()) in str(refused[0])


def test_batches_never_exceed_the_batch_size(bench: Bench) -> None:
    """Every batch but the last of a job is full."""
    add_photos(bench.photos / "class0", 7)
    bench.extract()
    assert bench.backbone.batches == [4, 4, 4, 4, 3]


# -- identity ----------------------------------------------------------------------

_CHANGES = {
    "source": "other",
    "architecture": "other",
    "weights": "1" * 64,
    "decode": "rgb8-2",
    "resize": "shortest",
    "resize_to": "9x9",
    "image_size": "7x7",
    "interpolation": "bicubic",
    "fill": "0,0,0",
    "mean": "0.5,0.5,0.25",
    "std": "0.5,0.5,0.25",
    "layer": "blocks.3",
    "pooling": "cls",
    "normalisation": "l2",
    "precision": "bfloat16",
    "stored_dtype": "float32",
    "version": 2,
    "view": "flip-1-0",
}


def test_every_field_of_the_identity_is_tried() -> None:
    """The changes below leave no field out."""
    assert set(_CHANGES) == {field.name for field in dataclasses.fields(Identity)}


@pytest.mark.parametrize("name", _CHANGES)
def test_another_identity_is_another_cache(bench: Bench, name: str) -> None:
    """One changed field embeds everything, says why, and leaves the old cache alone."""
    first = bench.extract()
    before = first.cache.read_bytes()
    identity = dataclasses.replace(builders.IDENTITY, **{name: _CHANGES[name]})
    result = bench.extract(backbone=FakeBackbone(identity))
    assert (result.embedded, bench.backbone.passes) == (12, 12)
    assert result.cache != first.cache
    assert first.cache.read_bytes() == before
    if name not in ("source", "architecture"):
        (note,) = [note for note in bench.notes if "new cache" in note]
        assert f"{name}: " in note
        assert "12 to embed" in note
    assert bench.extract(backbone=FakeBackbone(identity)).embedded == 0


def test_a_file_under_a_false_name_is_refused(bench: Bench) -> None:
    """A cache that was renamed to look like one of another backbone is not believed."""
    identity = dataclasses.replace(builders.IDENTITY, pooling="cls")
    other = bench.extract(backbone=FakeBackbone(identity))
    first = bench.extract()
    shutil.copy(other.cache, first.cache)
    with pytest.raises(CacheInvalidError, match="another backbone"):
        bench.extract()
    result = bench.extract(overwrite=True)
    assert (result.rows, result.embedded) == (12, 12)
    assert FeatureCache(result.cache).identity == builders.IDENTITY


# -- damage ------------------------------------------------------------------------


def test_only_damaged_rows_are_embedded_again(
    bench: Bench, small_blocks: None, settled: None
) -> None:
    """A bad block of four rows costs four images."""
    first = bench.extract()
    hostile.flip_feature(first.cache, 5)
    result = bench.extract()
    assert (result.embedded, result.reused, result.published) == (4, 8, True)
    assert not len(FeatureCache(result.cache).damaged_rows())


@pytest.mark.parametrize(
    "name",
    ["ids/data", "ids/offsets", "labels", "classes/data", "classes/offsets", "split", "group"],
)
def test_damaged_tables_are_made_again_from_the_source(bench: Bench, name: str) -> None:
    """What the source says costs no image; the file is as it was before."""
    first = bench.extract()
    whole, before = FeatureCache(first.cache), first.cache.read_bytes()
    hostile.overwrite_table(hostile.replaced(first.cache), name)
    result = bench.extract()
    assert (result.embedded, result.published) == (0, True)
    assert any(f"/{name} of" in note for note in bench.notes)
    made = FeatureCache(first.cache)
    assert made.tables == whole.tables
    assert made.content_digest == whole.content_digest
    assert len(first.cache.read_bytes()) == len(before)


@pytest.mark.parametrize("name", ["sha256", "numerics", "meta", "checksums"])
def test_rows_that_cannot_be_believed_are_not_used_again(bench: Bench, name: str) -> None:
    """Where no digest says what a row is of, or how it was made, all are embedded, on request."""
    first = bench.extract()
    hostile.overwrite_table(first.cache, name)
    with pytest.raises(CacheInvalidError, match="damaged") as caught:
        bench.extract()
    assert "embedcache verify --repair" in str(caught.value)
    assert "embedcache extract --overwrite" in str(caught.value)
    assert bench.extract(overwrite=True).embedded == 12


def test_damaged_files_stop_until_overwritten(bench: Bench) -> None:
    """A cache that cannot be believed is neither used nor silently replaced."""
    first = bench.extract()
    data = first.cache.read_bytes()
    first.cache.write_bytes(data[:-5000])
    with pytest.raises(CacheInvalidError, match="not a readable HDF5 file") as caught:
        bench.extract()
    assert "--overwrite" in str(caught.value)
    assert first.cache.read_bytes() == data[:-5000]
    result = bench.extract(overwrite=True)
    assert (result.rows, result.embedded) == (12, 12)
    assert any("replaced" in note for note in bench.notes)


def test_a_damaged_cache_elsewhere_is_no_obstacle(bench: Bench, tmp_path: Path) -> None:
    """Another data set's broken cache is mentioned and not reused."""
    first = bench.extract()
    first.cache.write_bytes(first.cache.read_bytes()[:-5000])
    copy = Path(shutil.copytree(bench.photos, tmp_path / "copy"))
    result = bench.extract(copy)
    assert result.embedded == 12
    assert any(str(first.cache) in note for note in bench.notes)


def test_damaged_rows_elsewhere_are_not_reused(
    bench: Bench, tmp_path: Path, small_blocks: None
) -> None:
    """From a cache with a bad block the other blocks are taken."""
    first = bench.extract()
    hostile.flip_feature(first.cache, 0)
    copy = Path(shutil.copytree(bench.photos, tmp_path / "copy"))
    result = bench.extract(copy)
    assert (result.embedded, result.reused) == (4, 8)


def test_the_result_is_what_the_cache_says(bench: Bench) -> None:
    """Counts, size and JSON form agree with the file."""
    (bench.photos / "class0" / "bad.png").write_bytes(b"text")
    result = bench.extract()
    assert result.bytes == result.cache.stat().st_size
    assert result.reasons == {"not an image": 1}
    json = result.to_json()
    assert json["cache"] == str(result.cache)
    assert (json["rows"], json["rejected"], json["embedded"]) == (12, 1, 12)
    cache = FeatureCache(result.cache)
    assert cache.meta.numerics == (builders.NUMERICS,)
    np.testing.assert_array_equal(cache.tables.numerics, np.zeros(12))
