"""Pictures in two colours, a cache of them by a backbone without weights, and runs on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fakes import FakeBackbone
from PIL import Image

from embedcache.extraction.records import ExtractResult
from embedcache.workflows.extract import extract_source
from embedcache.workflows.fit import Run, fit_head
from embedcache.workflows.predict import Predictor

RED, GREEN = (200, 40, 40), (40, 200, 40)


def paint(path: Path, colour: tuple[int, int, int], seed: int) -> Path:
    """Write a small picture of one colour and some noise."""
    noise = np.random.default_rng(seed).integers(-30, 31, (9, 12, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((np.array(colour) + noise).astype(np.uint8)).save(path)
    return path


def split_pictures(folder: Path, *, train: int, test: int) -> Path:
    """So many red and as many green pictures under `train/` and under `test/`."""
    for side, count in (("train", train), ("test", test)):
        for index in range(count):
            for name, colour, seed in (("red", RED, 0), ("green", GREEN, 500)):
                path = folder / side / name / f"{index}.png"
                paint(path, colour, seed + index + 100 * (side == "test"))
    return folder


@dataclass
class Lab:
    """Where a test of the workflows works.

    Attributes:
        photos: Ten red and ten green pictures in folders of these names.
        cache_dir: The cache root.
        runs_dir: The folder of runs.
    """

    photos: Path
    cache_dir: Path
    runs_dir: Path

    def extract(self, backbone: FakeBackbone | None = None) -> ExtractResult:
        return extract_source(
            self.photos, backbone or FakeBackbone(), cache_dir=self.cache_dir, num_workers=2
        )

    def fit(self, **options: object) -> Run:
        return fit_head(cache_dir=self.cache_dir, runs_dir=self.runs_dir, **options)

    def predictor(self, run: Run, backbone: FakeBackbone) -> Predictor:
        return Predictor(run.path, cache_dir=self.cache_dir, backbone=backbone, workers=2)
