"""What cannot be embedded: rows stay aligned, and every reject has its reason."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from bench import Bench
from builders import png
from fakes import FakeBackbone

from embedcache.errors import FeatureOverflowError, RejectedInputsError
from embedcache.records.rejects import RejectReason
from embedcache.store.cache import FeatureCache

_BAD = {
    "empty": (b"", RejectReason.EMPTY),
    "one byte": (b"\x89", RejectReason.NOT_AN_IMAGE),
    "text": (b"this is text", RejectReason.NOT_AN_IMAGE),
    "html": (b"<!DOCTYPE html><html>404</html>", RejectReason.NOT_AN_IMAGE),
    "pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        RejectReason.POINTER,
    ),
    "truncated": (png(1)[:-200], RejectReason.TRUNCATED),
}


def _spoil_half(bench: Bench) -> list[Path]:
    """Every other picture becomes unreadable, each in its own way."""
    paths = sorted(bench.photos.rglob("*.png"))[::2]
    for index, path in enumerate(paths):
        content, _ = list(_BAD.values())[index % len(_BAD)]
        # No two alike, but for the empty one: equal bytes would be one reject's digest.
        path.write_bytes(content and content + bytes([65 + index]))
    return paths


def _table(path: Path, names: list[str]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path"])
        writer.writerows([name] for name in names)
    return path


def test_half_of_the_files_may_be_bad(bench: Bench) -> None:
    """The good half keeps its ids, labels and features; the bad half keeps its names."""
    bad = _spoil_half(bench)
    result = bench.extract()
    assert (result.rows, result.rejected, result.embedded) == (6, 6, 6)
    cache = FeatureCache(result.cache)
    named = {reject.id for reject in cache.rejects}
    assert named == {os.fsencode(path.relative_to(bench.photos)) for path in bad}
    assert all(reject.detail and reject.decoder.startswith("pillow") for reject in cache.rejects)
    assert sum(result.reasons.values()) == 6


@pytest.mark.parametrize("name", _BAD)
def test_each_kind_of_bad_file_has_its_reason(bench: Bench, name: str) -> None:
    """The reason is stored as a code, with the digest of the bytes."""
    content, reason = _BAD[name]
    (bench.photos / "class1" / "bad.png").write_bytes(content)
    result = bench.extract()
    (reject,) = FeatureCache(result.cache).rejects
    assert (reject.id, reject.reason) == (b"class1/bad.png", reason)
    assert any(reject.digest)


def test_one_bad_image_does_not_take_its_batch_along(bench: Bench, small_jobs: None) -> None:
    """The neighbours of a bad image are embedded in full batches."""
    (bench.photos / "class0" / "001.png").write_bytes(b"text")
    result = bench.extract()
    assert (result.rows, result.embedded) == (11, 11)
    # Jobs of eight samples: seven images of the first, four of the second.
    assert bench.backbone.batches == [4, 3, 4]


def test_nothing_but_bad_images_is_an_error(bench: Bench) -> None:
    """Exit 3, no cache, and the first image is named."""
    for path in bench.photos.rglob("*.png"):
        path.write_bytes(b"text " + path.name.encode() + path.parent.name.encode())
    for _ in range(2):
        with pytest.raises(RejectedInputsError, match="none of the 12 images") as caught:
            bench.extract()
        assert caught.value.exit_code == 3
        assert "class0/000.png" in str(caught.value)
        assert bench.published() == []


def test_all_images_going_bad_keeps_the_cache(bench: Bench) -> None:
    """A cache is never replaced by an empty one, not even with `--prune`."""
    first = bench.extract()
    before = first.cache.read_bytes()
    for path in bench.photos.rglob("*.png"):
        path.write_bytes(b"text")
    with pytest.raises(RejectedInputsError):
        bench.extract(prune=True)
    assert first.cache.read_bytes() == before


@pytest.mark.parametrize("believed", [True, False])
def test_on_error_fail_stops_at_the_first(
    bench: Bench, *, believed: bool, request: pytest.FixtureRequest
) -> None:
    """`--on-error fail` names the image, publishes nothing, and also stops at old rejects."""
    if believed:
        request.getfixturevalue("settled")
    (bench.photos / "class1" / "bad.png").write_bytes(b"text")
    with pytest.raises(RejectedInputsError) as caught:
        bench.extract(on_error="fail")
    assert caught.value.exit_code == 3
    assert caught.value.where == "class1/bad.png"
    assert bench.published() == []
    assert bench.extract().rejected == 1
    with pytest.raises(RejectedInputsError) as caught:
        bench.extract(on_error="fail")
    assert caught.value.where == "class1/bad.png"


def test_an_output_that_is_not_finite_is_a_reject(bench: Bench) -> None:
    """The image is named, its batch goes on, and a copy of it shares its fate."""
    names = ["class0/000.png", "class1/000.png", "class2/000.png"]
    (bench.photos / "class2" / "copy.png").write_bytes((bench.photos / names[0]).read_bytes())
    result = bench.extract(backbone=FakeBackbone(spoil=float("nan")))
    cache = FeatureCache(result.cache)
    assert {os.fsdecode(reject.id) for reject in cache.rejects} == {*names, "class2/copy.png"}
    assert {reject.reason for reject in cache.rejects} == {RejectReason.NOT_FINITE}
    assert (len(cache), result.embedded) == (9, 12)
    assert np.isfinite(cache.X).all()


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_infinity_is_a_reject_and_not_an_overflow(bench: Bench, value: float) -> None:
    """No dtype would hold it, so no advice about the dtype is given."""
    result = bench.extract(backbone=FakeBackbone(spoil=value))
    assert result.reasons == {"not finite": 3}


@pytest.mark.parametrize("value", [65_505.0, -1e6, 3e38])
def test_a_value_that_overflows_is_an_error(bench: Bench, value: float) -> None:
    """The image is named, float32 is advised, and nothing is published."""
    with pytest.raises(FeatureOverflowError, match="does not fit into float16") as caught:
        bench.extract(backbone=FakeBackbone(spoil=value))
    assert caught.value.exit_code == 4
    assert caught.value.where == "class0/000.png"
    assert "--store-dtype float32" in str(caught.value)
    assert bench.published() == []


def test_the_largest_value_of_the_dtype_fits(bench: Bench) -> None:
    """65,504 is a float16."""
    with pytest.raises(AssertionError):  # the features differ from the image's, as they should
        bench.extract(backbone=FakeBackbone(spoil=65_504.0))
    (cache,) = map(FeatureCache, bench.published())
    assert cache.X.max() == 65_504


@pytest.mark.parametrize("believed", [True, False])
def test_bad_bytes_are_not_decoded_again(
    bench: Bench, *, believed: bool, request: pytest.FixtureRequest
) -> None:
    """A content reject is known by its digest, also under another name."""
    if believed:
        request.getfixturevalue("settled")
    bad = bench.photos / "class1" / "bad.png"
    bad.write_bytes(b"text")
    bench.extract()
    result = bench.extract()
    assert (result.rejected, result.published, bench.backbone.prepared) == (1, False, 0)
    bad.rename(bench.photos / "class2" / "still bad.png")
    result = bench.extract()
    assert bench.backbone.prepared == 0
    (reject,) = FeatureCache(result.cache).rejects
    assert reject.id == b"class2/still bad.png"


def test_another_decoder_tries_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one decoder refused may be an image to the next version."""
    (bench.photos / "class1" / "bad.png").write_bytes(b"text")
    bench.extract()
    for module in ("extract", "estimate"):
        monkeypatch.setattr(f"embedcache.extraction.{module}.decoder_version", lambda: "pillow 99")
    result = bench.extract()
    assert bench.backbone.prepared == 1
    assert FeatureCache(result.cache).rejects[0].decoder == "pillow 99"


def test_a_repaired_file_is_embedded(bench: Bench, settled: None) -> None:
    """Good bytes under a name that was bad are a row."""
    bad = bench.photos / "class1" / "bad.png"
    bad.write_bytes(b"text")
    bench.extract()
    bad.write_bytes(png(4711))
    result = bench.extract()
    assert (result.rows, result.rejected, result.embedded) == (13, 0, 1)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("missing", RejectReason.MISSING),
        ("fifo", RejectReason.NOT_A_REGULAR_FILE),
        ("folder", RejectReason.NOT_A_REGULAR_FILE),
        ("dangling", RejectReason.MISSING),
        ("loop", RejectReason.LINK_LOOP),
        ("below a file", RejectReason.MISSING),
    ],
)
def test_what_is_no_file_is_a_reject_and_tried_again(
    bench: Bench, kind: str, reason: RejectReason, settled: None
) -> None:
    """A FIFO does not hang; once a picture is there, it is embedded."""
    path = bench.photos / "class0" / "000.png" / "x.jpg"
    if kind != "below a file":
        path = bench.photos / "new.jpg"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "dangling":
        path.symlink_to("nowhere.jpg")
    elif kind == "loop":
        path.symlink_to(path.name)
    name = str(path.relative_to(bench.photos))
    table = _table(bench.photos / "table.csv", ["class0/001.png", "class0/002.png", name])
    result = bench.extract(table)
    (reject,) = FeatureCache(result.cache).rejects
    assert (reject.reason, reject.digest) == (reason, bytes(32))
    result = bench.extract(table)
    assert (result.rejected, len(bench.progress)) == (1, 1), "it has to be tried again"
    if kind == "missing":
        path.write_bytes(png(4711))
        result = bench.extract(table)
        assert (result.rows, result.rejected, result.embedded) == (3, 0, 1)


def test_a_fifo_in_a_folder_does_not_hang(bench: Bench) -> None:
    """A pipe named like a picture is one reject among the pictures."""
    os.mkfifo(bench.photos / "class0" / "pipe.jpg")
    result = bench.extract()
    assert (result.rows, result.reasons) == (12, {"not a regular file": 1})


def test_any_file_name_will_do(bench: Bench) -> None:
    """Spaces, newlines, quotes, escape codes and bytes that are no UTF-8 are names like others."""
    names = [b"a b.png", b"new\nline.png", b"quote'\".png", b"\x1b[31m.png", b"\xff\xfe.png"]
    for index, name in enumerate(names):
        with open(os.path.join(os.fsencode(bench.photos), b"class0", name), "wb") as file:
            file.write(png(7000 + index))
    result = bench.extract()
    assert result.embedded == 17
    assert {b"class0/" + name for name in names} <= set(FeatureCache(result.cache).ids)
