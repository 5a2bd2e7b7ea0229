"""A data set of twelve pictures in three classes, and a cache root."""

from collections.abc import Iterator
from pathlib import Path

import children
import pytest
from bench import Bench
from builders import image_folder


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Twelve pictures, nothing cached yet."""
    return Bench(image_folder(tmp_path / "photos"), tmp_path / "cache")


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A folder that other users can reach."""
    with children.open_folder() as path:
        yield path


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the files index believe files that were written just now."""
    monkeypatch.setattr("embedcache.extraction.files_index._YOUNG_NS", -(10**18))
    monkeypatch.setattr("embedcache.extraction.files_index._is_trusted", lambda _: True)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Feature blocks of 48 bytes: four rows of six float16 features."""
    monkeypatch.setattr("embedcache.store.layout._BLOCK_BYTES", 48)
