from pathlib import Path
from typing import Any

import pytest
from bench import Bench, add_photos
from fakes import FakeBackbone

from embedcache.errors import CacheInvalidError
from embedcache.extraction.records import Estimate
from embedcache.workflows.extract import estimate_source


def _estimate(bench: Bench, backbone: FakeBackbone | None = None, **options: Any) -> Estimate:
    return estimate_source(
        bench.photos, backbone or FakeBackbone(), **{"cache_dir": bench.root, **options}
    )


def _files(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if path.is_file()} if root.exists() else set()


def test_a_fresh_data_set_is_all_to_embed(bench: Bench) -> None:
    """Counts, size and time are told, and no file is written."""
    guess = _estimate(bench)
    assert (guess.rows, guess.cached, guess.to_embed) == (12, 0, 12)
    assert guess.images_per_second > 0
    assert guess.seconds >= 0
    assert guess.bytes >= 12 * 6 * 2
    assert not _files(bench.root)
    assert bench.extract().cache == guess.cache


def test_only_what_is_missing_is_counted(bench: Bench, settled: None) -> None:
    """Cached rows cost nothing; known rejects neither."""
    (bench.photos / "class0" / "bad.png").write_bytes(b"text")
    bench.extract()
    before = _files(bench.root)
    guess = _estimate(bench)
    assert (guess.rows, guess.cached, guess.to_embed, guess.seconds) == (13, 12, 0, 0)
    add_photos(bench.photos / "class1", 5)
    guess = _estimate(bench)
    assert (guess.rows, guess.cached, guess.to_embed) == (18, 12, 5)
    assert _files(bench.root) == before


def test_a_limit_and_overwriting_are_respected(bench: Bench, settled: None) -> None:
    """The same options as for the extraction mean the same."""
    assert _estimate(bench, limit=5).to_embed == 5
    bench.extract()
    assert _estimate(bench).to_embed == 0
    assert _estimate(bench, overwrite=True).to_embed == 12


def test_the_estimate_embeds_no_image(bench: Bench) -> None:
    """The speed is measured on a texture."""
    backbone = FakeBackbone()
    _estimate(bench, backbone)
    assert backbone.passes == 0


def test_a_damaged_cache_is_told_before_anything_starts(bench: Bench) -> None:
    """A dry run finds what a run would find."""
    cache = bench.extract().cache
    cache.write_bytes(cache.read_bytes()[:-5000])
    with pytest.raises(CacheInvalidError):
        _estimate(bench)


def test_the_json_form_is_flat(bench: Bench) -> None:
    """All fields, with the path as text."""
    json = _estimate(bench).to_json()
    assert isinstance(json["cache"], str)
    assert json["advice"] == []
    assert json["to_embed"] == 12
