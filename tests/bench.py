"""A data set, a cache root, and extractions between them that are counted and checked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import image_folder, png
from fakes import FakeBackbone

from embedcache.extraction.records import ExtractResult
from embedcache.store.cache import FeatureCache
from embedcache.workflows.extract import extract_source


@dataclass
class Bench:
    """Where an extraction test works.

    Attributes:
        photos: The data set.
        root: The cache root.
        backbone: The backbone of the last extraction.
        notes: What the last extraction told.
        progress: How far the last extraction said it was.
    """

    photos: Path
    root: Path
    backbone: FakeBackbone = field(default_factory=FakeBackbone)
    notes: list[str] = field(default_factory=list)
    progress: list[tuple[int, int]] = field(default_factory=list)

    def extract(
        self,
        source: Path | None = None,
        backbone: FakeBackbone | None = None,
        **options: Any,
    ) -> ExtractResult:
        """Extract with a fresh backbone unless one is given, and check what was published."""
        self.backbone = backbone or FakeBackbone()
        self.notes, self.progress = [], []
        result = extract_source(
            source or self.photos,
            self.backbone,
            observer=_Observer(self),
            **{"cache_dir": self.root, "num_workers": 2, **options},
        )
        check(result, self.backbone)
        return result

    def works(self) -> list[Path]:
        """Folders of unfinished work."""
        return [*self.root.glob("*/.*.work"), *self.root.glob("*/.*.overwrite")]

    def published(self) -> list[Path]:
        """Visible cache files."""
        return sorted(self.root.glob("*/*.h5"))


def bench_of_blocks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Twelve pictures; blocks of 48 bytes hold four rows of six float16 features."""
    monkeypatch.setattr("embedcache.store.layout._BLOCK_BYTES", 48)
    return Bench(image_folder(folder / "photos"), folder / "cache")


@dataclass
class _Observer:
    bench: Bench

    def note(self, text: str) -> None:
        self.bench.notes.append(text)

    def progress(self, done: int, total: int) -> None:
        self.bench.progress.append((done, total))


def check(result: ExtractResult, backbone: FakeBackbone) -> None:
    """Every row belongs to its id, its bytes, its features and its class folder."""
    cache = FeatureCache(result.cache)
    assert result.rows == len(cache)
    assert result.rejected == len(cache.rejects)
    assert not {reject.id for reject in cache.rejects} & set(cache.ids)
    stored = cache.identity.stored_dtype
    features = cache.X
    for row in range(len(cache)):
        data = (Path(cache.meta.root) / cache.ids.text(row)).read_bytes()
        assert cache.sha256[row].tobytes() == hashlib.sha256(data).digest()
        np.testing.assert_array_equal(features[row], backbone.features_of(data).astype(stored))
        folder, slash, _ = cache.ids.text(row).rpartition("/")
        if slash and cache.meta.source.kind == "folder":
            assert cache.classes[cache.y[row]] == folder


def add_photos(folder: Path, count: int, seed: int = 50_000) -> list[Path]:
    """More pictures, unlike all others."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"more {seed + index}.png" for index in range(count)]
    for index, path in enumerate(paths):
        path.write_bytes(png(seed + index))
    return paths
