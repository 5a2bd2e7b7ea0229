"""Measure fine-tuning: the tail from cached activations against all blocks from images.

    python benchmarks/finetune.py tail      about 5 minutes on 2 cores

Both train the same model with the same batches of solar-cell pictures, in turns, in one
session: the ratio is what counts, absolute figures belong to the machine. Needs the extra
`demo`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from extract import BACKBONE, elpv_images, link_folder

from embedcache.backbones.activations import profile
from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.load import build_architecture
from embedcache.backbones.splitting import boundaries
from embedcache.finetuning.activation_batches import ActivationBatches, Activations
from embedcache.finetuning.batches import Batches
from embedcache.finetuning.classifier import Classifier
from embedcache.finetuning.freezing import Freezing
from embedcache.finetuning.images import ImageBatches, Images
from embedcache.finetuning.recipe import recipe_for
from embedcache.finetuning.tail import Tail, tail_freezing
from embedcache.finetuning.training import train
from embedcache.heads.forms.linear import Linear
from embedcache.records.strings import Strings
from embedcache.store.cache import FeatureCache
from embedcache.workflows.activations import cache_view
from embedcache.workflows.extract import extract_source
from embedcache.workflows.repair import manifest_of


def epoch(model: object, batches: Batches, freezing: Freezing, steps: int) -> float:
    """Seconds for an epoch, from a few steps."""
    recipe = replace(recipe_for("efficientnet", batches.rows), steps=steps)
    started = time.perf_counter()
    train(model, batches, recipe, freezing)  # type: ignore[arg-type]  # a module
    return (time.perf_counter() - started) / steps * batches.rows / recipe.batch_size


def tail(images: int, steps: int, rounds: int, boundary: str) -> None:
    """Seconds per epoch both ways, and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        photos = link_folder(Path(folder) / "photos", elpv_images(images))
        done = extract_source(photos, BACKBONE, cache_dir=Path(folder) / "cache")
        features = FeatureCache(done.cache)
        rows = np.arange(len(features))
        started = time.perf_counter()
        view = cache_view(features, rows, boundary, None)
        seconds = time.perf_counter() - started
        print(f"caching {len(rows)} images at {boundary}: {seconds:.1f} s")
        architecture = build_architecture(BackboneRequest(BACKBONE))
        splits = profile(architecture.module, architecture.preprocessing.image_size)
        shape = next(split.shape for split in splits if split.boundary == boundary)
        labels = rows % 2
        weights = np.ones(len(rows), np.float32)
        table = Activations((view.cache,), view.rows[None], shape, labels, weights)
        manifest = manifest_of(features)
        paths = Strings.of(manifest.path(int(row)) for row in rows)
        pictures = Images(paths, features.sha256, labels, weights, architecture.preprocessing)
        head = Linear(np.zeros((2, features.dim)), np.zeros(2))
        ratios = []
        for _ in range(rounds):
            tower = build_architecture(BackboneRequest(BACKBONE)).module
            freezing = tail_freezing(tower, boundary)
            model = Tail(tower, boundary, head)
            cached = epoch(model, ActivationBatches(table, 32, 0), freezing, steps)
            tower = build_architecture(BackboneRequest(BACKBONE)).module
            freezing = replace(freezing, trained=len(freezing.blocks))
            whole = Classifier(tower, architecture.preprocessing, head)
            through = epoch(whole, ImageBatches(pictures, 32, 0, "none"), freezing, steps)
            ratios.append(through / cached)
            print(f"tail {cached:.1f} s, all {through:.1f} s per epoch: {ratios[-1]:.1f} ×")
        print(f"median: {statistics.median(ratios):.1f} × faster per epoch")


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parts = parser.add_subparsers(required=True)
    part = parts.add_parser("tail", help="the tail from cached activations against all blocks")
    part.add_argument("--images", type=int, default=512)
    part.add_argument("--steps", type=int, default=16)
    part.add_argument("--rounds", type=int, default=3)
    known = boundaries(build_architecture(BackboneRequest(BACKBONE)).module)
    part.add_argument("--boundary", choices=known, default="blocks.5.0")
    given = parser.parse_args()
    tail(given.images, given.steps, given.rounds, given.boundary)


if __name__ == "__main__":
    main()
