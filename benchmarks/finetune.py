"""Measure fine-tuning: the tail against all blocks, and the loop against a bare one.

    python benchmarks/finetune.py tail          about 5 minutes on 2 cores
    python benchmarks/finetune.py throughput    about 5 minutes on 2 cores

Whatever is compared trains the same model with the same batches of solar-cell pictures, in
turns, in one session: the ratios are what counts, absolute figures belong to the machine. CPU
seconds, of all threads and processes, say what wall-clock seconds say on a quiet machine.
Needs the extra `demo`.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from extract import BACKBONE, elpv_images, link_folder
from torch import nn
from torch.nn import functional

from embedcache.backbones.architecture import Architecture
from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.blocks import blocks
from embedcache.backbones.load import build_architecture
from embedcache.finetuning.activation_batches import ActivationBatches, Activations
from embedcache.finetuning.batches import Batch, Batches
from embedcache.finetuning.classifier import Classifier
from embedcache.finetuning.freezing import Freezing, freeze, set_modes
from embedcache.finetuning.images import ImageBatches, Images
from embedcache.finetuning.loading import stream
from embedcache.finetuning.optimiser import make_optimiser
from embedcache.finetuning.precision import autocast, training_autocast, training_precision
from embedcache.finetuning.recipe import Recipe, recipe_for
from embedcache.finetuning.splits import Split, profile, tails
from embedcache.finetuning.tail import Tail
from embedcache.finetuning.training import train
from embedcache.heads.forms.linear import Linear
from embedcache.records.strings import Strings
from embedcache.store.cache import FeatureCache
from embedcache.workflows.activations import cache_view
from embedcache.workflows.extract import extract_source
from embedcache.workflows.repair import manifest_of

CPU = torch.device("cpu")
WORKERS = 1
"""Processes that read images, as `finetune` has them on a CPU."""


@dataclass(frozen=True)
class Took:
    """Seconds by the clock, and of CPU time."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:.1f} s ({self.cpu:.1f} s of CPU)"


def timed(work: Callable[[], object]) -> Took:
    """How long it takes."""

    def spent() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    wall, cpu = time.perf_counter(), spent()
    work()
    return Took(time.perf_counter() - wall, spent() - cpu)


def recipe_of(rows: int, steps: int) -> Recipe:
    """As `finetune` trains on this machine, but for the number of steps."""
    return recipe_for("efficientnet", rows, steps=steps, precision=training_precision(CPU))


def model_of(features: FeatureCache) -> Classifier:
    """The backbone with a head of two classes, as it is before the first step."""
    architecture = build_architecture(BackboneRequest(BACKBONE))
    head = Linear(np.zeros((2, features.dim)), np.zeros(2))
    return Classifier(architecture.module, architecture.preprocessing, head).eval()


def images_of(features: FeatureCache) -> Images:
    """The pictures that were embedded, with labels of no meaning."""
    manifest, rows = manifest_of(features), np.arange(len(features))
    paths = Strings.of(manifest.path(int(row)) for row in rows)
    architecture: Architecture = build_architecture(BackboneRequest(BACKBONE))
    weights = np.ones(len(rows), np.float32)
    return Images(paths, features.sha256, rows % 2, weights, architecture.preprocessing)


@contextlib.contextmanager
def elpv(images: int) -> Iterator[FeatureCache]:
    """A cache of so many pictures, for the time being."""
    with tempfile.TemporaryDirectory() as folder:
        photos = link_folder(Path(folder) / "photos", elpv_images(images))
        done = extract_source(photos, BACKBONE, cache_dir=Path(folder) / "cache")
        yield FeatureCache(done.cache)


def split_of(features: FeatureCache, boundary: str | None) -> Split:
    """Where `finetune --unfreeze tail` would split, or where a person says."""
    classifier, recipe = model_of(features), recipe_of(len(features), 1)
    size = images_of(features).preprocessing.image_size
    splits = profile(classifier.tower, size, features.identity.precision, recipe.precision)
    for split in splits:
        print(
            f"  {split.boundary}: {split.share:5.1%} of a step, "
            f"{2 * split.elements / 1e3:.0f} kB an image"
        )
    if boundary is None:
        return tails(splits)[0]
    return next(split for split in splits if split.boundary == boundary)


def tail(images: int, steps: int, rounds: int, boundary: str | None) -> None:
    """Seconds per epoch both ways, and their ratio."""
    with elpv(images) as features:
        split, rows, pictures = split_of(features, boundary), len(features), images_of(features)
        view = None

        def cache() -> None:
            nonlocal view
            view = cache_view(features, np.arange(rows), split.boundary, None, device="cpu")

        print(f"caching {rows} images at {split.boundary}: {timed(cache)}")
        assert view is not None
        table = Activations(
            (view.cache,), view.rows[None], split.shape, pictures.labels, pictures.weights
        )
        recipe = recipe_of(rows, steps)
        epochs = steps * recipe.batch_size / rows
        print(f"epochs of {rows} images in {recipe.precision}, {torch.get_num_threads()} threads")

        def both() -> tuple[Took, Took]:
            classifier = model_of(features)
            names = [block.name for block in blocks(classifier.tower)]
            part = Freezing.of(classifier.tower, len(names) - names.index(split.boundary))
            some: Batches = ActivationBatches(table, recipe.batch_size, 0)
            cached = timed(lambda: train(Tail(classifier, split.boundary), some, recipe, part))
            whole, every = model_of(features), Freezing.of(classifier.tower, len(names))
            all_of: Batches = ImageBatches(pictures, recipe.batch_size, 0, "none")
            through = timed(lambda: train(whole, all_of, recipe, every, workers=WORKERS))
            return cached, through

        compared = []
        for _ in range(rounds):
            cached, through = (Took(each.wall / epochs, each.cpu / epochs) for each in both())
            compared.append((through.wall / cached.wall, through.cpu / cached.cpu))
            print(f"tail {cached}, all {through} per epoch: {compared[-1][0]:.1f} ×")
        wall, cpu = (statistics.median(each) for each in zip(*compared, strict=True))
        print(f"median: {wall:.1f} × faster per epoch, {cpu:.1f} × in CPU time")


def bare(
    model: nn.Module, batches: Iterable[Batch], recipe: Recipe, freezing: Freezing, *, plain: bool
) -> None:
    """Forward, loss, backward, clip, step: nothing else, with the same optimiser.

    Args:
        model: Trained.
        batches: In memory, or loaded as they are asked for.
        recipe: Precision and constants.
        freezing: Which parameters move.
        plain: Whether all convolutions are in bfloat16, as `torch.autocast` has them.
    """
    parameters = freeze(model, freezing)
    optimiser = make_optimiser(parameters, recipe, freezing.depth)
    set_modes(model)
    precision = autocast if plain else training_autocast
    for batch in batches:
        optimiser.zero_grad(set_to_none=True)
        with precision(CPU, recipe.precision):
            logits = model(batch.inputs)
        smoothing = recipe.label_smoothing
        loss = functional.cross_entropy(logits.float(), batch.labels, label_smoothing=smoothing)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters.values(), recipe.clip)
        optimiser.step()


def throughput(images: int, steps: int, rounds: int) -> None:
    """Images per second of `finetune`'s loop and of bare ones."""
    with elpv(images) as features:
        pictures, recipe = images_of(features), recipe_of(len(features), steps)
        source = ImageBatches(pictures, recipe.batch_size, 0, "none")
        memory = [source.batch(step) for step in range(steps)]
        freezing = Freezing.of(model_of(features).tower, len(blocks(model_of(features).tower)))

        def ours(model: nn.Module) -> None:
            train(model, source, recipe, freezing, workers=WORKERS)

        def loaded(model: nn.Module) -> None:
            with contextlib.closing(stream(source, 0, steps, WORKERS)) as batches:
                bare(model, batches, recipe, freezing, plain=False)

        loops: dict[str, Callable[[nn.Module], None]] = {
            "finetune's loop, from files": ours,
            "bare loop, from files by a DataLoader": loaded,
            "bare loop, batches in memory": lambda model: bare(
                model, memory, recipe, freezing, plain=False
            ),
            "bare loop, in memory, depthwise in bfloat16, too": lambda model: bare(
                model, memory, recipe, freezing, plain=True
            ),
        }
        count = steps * recipe.batch_size
        print(f"{count} images a turn in {recipe.precision}, {torch.get_num_threads()} threads")
        rates: dict[str, list[tuple[float, float]]] = {name: [] for name in loops}
        for _ in range(rounds):
            for name, loop in loops.items():
                model = model_of(features)
                took = timed(lambda loop=loop, model=model: loop(model))
                rates[name].append((count / took.wall, count / took.cpu))
        first, *_ = rates.values()
        for name, found in rates.items():
            wall, cpu = (statistics.median(each) for each in zip(*found, strict=True))
            pairs = zip(first, found, strict=True)
            shares = [(ours[0] / bare[0], ours[1] / bare[1]) for ours, bare in pairs]
            by_wall, by_cpu = (statistics.median(each) for each in zip(*shares, strict=True))
            print(
                f"{name}: {wall:.1f} images/s, {cpu:.1f} by CPU second; "
                f"finetune has {by_wall:.0%} of it, {by_cpu:.0%} by CPU time"
            )


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parts = parser.add_subparsers(required=True, dest="part")
    part = parts.add_parser("tail", help="the tail from cached activations against all blocks")
    part.add_argument("--images", type=int, default=512)
    part.add_argument("--steps", type=int, default=16)
    part.add_argument("--rounds", type=int, default=3)
    part.add_argument("--boundary", help="a block; by default what finetune chooses")
    part = parts.add_parser("throughput", help="finetune's loop against bare ones")
    part.add_argument("--images", type=int, default=512)
    part.add_argument("--steps", type=int, default=16)
    part.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if given.part == "tail":
        tail(given.images, given.steps, given.rounds, given.boundary)
    else:
        throughput(given.images, given.steps, given.rounds)


if __name__ == "__main__":
    main()
