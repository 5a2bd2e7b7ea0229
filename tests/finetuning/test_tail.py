"""Training the tail from cached activations is training through the frozen part."""

from __future__ import annotations

import contextlib
import copy
import random
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from builders import IDENTITY, meta, tables
from small_models import randomise
from torch import Tensor, nn

from embedcache.backbones.blocks import blocks
from embedcache.backbones.splitting import split_at
from embedcache.finetuning.activation_batches import ActivationBatches, Activations
from embedcache.finetuning.batches import Batch
from embedcache.finetuning.checkpoint import Checkpoint
from embedcache.finetuning.classifier import Classifier
from embedcache.finetuning.curve import Progress
from embedcache.finetuning.freezing import Freezing
from embedcache.finetuning.recipe import recipe_for
from embedcache.finetuning.sampling import rows_of_step
from embedcache.finetuning.tail import Tail
from embedcache.finetuning.training import train
from embedcache.heads.forms.linear import Linear
from embedcache.inputs.preprocess import Preprocessing
from embedcache.store.cache import FeatureCache
from embedcache.store.writer import write_cache

ROWS, CLASSES, SIDE = 24, 3, 32
RECIPE = recipe_for("efficientnet", ROWS, learning_rate=1e-3, steps=5, batch_size=8)
SQUARE = Preprocessing(
    "squash", (SIDE, SIDE), (SIDE, SIDE), "bilinear", None, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
)
TOWERS = {
    "test_efficientnet": "blocks.2.0",
    "test_resnet": "layer3.0",
    "test_convnext": "stages.1.blocks.0",
    "test_vit": "blocks.3",
}


@dataclass(frozen=True)
class ImageBatches:
    """The same rows as from the cache, as images, (N, H, W, 3) uint8."""

    images: Tensor
    labels: Tensor
    rows: int = ROWS
    batch_size: int = RECIPE.batch_size

    def batch(self, step: int) -> Batch:
        chosen = rows_of_step(RECIPE.seed, step, self.batch_size, self.rows)
        return Batch(self.images[chosen], self.labels[chosen], torch.ones(len(chosen)))


def _tower(name: str) -> nn.Module:
    torch.manual_seed(0)
    size = {"img_size": SIDE} if "vit" in name else {}
    return randomise(timm.create_model(name, num_classes=0, **size))


def _head(tower: nn.Module) -> Linear:
    dim = tower(torch.zeros(1, 3, SIDE, SIDE)).shape[1]
    random = np.random.default_rng(0)
    return Linear(random.normal(size=(CLASSES, dim)) / dim, random.normal(size=CLASSES))


def _cached(path: Path, activations: Tensor, views: int = 1) -> Activations:
    """Activations in caches, in another order than the rows."""
    flat = activations.flatten(1).numpy()
    order = np.random.default_rng(3).permutation(len(flat))
    caches = []
    for view in range(views):
        identity = replace(IDENTITY, stored_dtype="float32")
        values = flat[order] + np.float32(view)
        write_cache(path / f"{view}.h5", tables(len(flat)), meta(flat.shape[1], identity), [values])
        caches.append(FeatureCache(path / f"{view}.h5"))
    return Activations(
        tuple(caches),
        np.stack([np.argsort(order)] * views),
        tuple(activations.shape[1:]),
        np.arange(len(flat)) % CLASSES,
        np.ones(len(flat), np.float32),
    )


def _images(count: int) -> Tensor:
    shape, generator = (count, SIDE, SIDE, 3), torch.Generator().manual_seed(1)
    return torch.randint(0, 256, shape, generator=generator).to(torch.uint8)


@torch.no_grad()
def _lower(tower: nn.Module, boundary: str, images: Tensor) -> Tensor:
    """What the frozen part makes of the images."""
    return split_at(tower, boundary)[0]((images.permute(0, 3, 1, 2) / 255 - 0.5) / 0.5)


@pytest.mark.parametrize("name", TOWERS)
def test_training_from_the_cache_is_training_through_the_frozen_part(
    name: str, tmp_path: Path
) -> None:
    """The same batches lead to the same weights; what is frozen stays, bit by bit."""
    boundary, before = TOWERS[name], _tower(name)
    images, head = _images(ROWS), _head(before)
    cached = _cached(tmp_path, _lower(before, boundary, images))
    names = [block.name for block in blocks(before)]
    first = names.index(boundary)
    freezing = Freezing.of(before, len(names) - first)

    split = Classifier(copy.deepcopy(before), SQUARE, head)
    whole = Classifier(copy.deepcopy(before), SQUARE, head)
    start = {key: value.clone() for key, value in whole.named_parameters()}
    batches = ActivationBatches(cached, RECIPE.batch_size, RECIPE.seed)
    from_cache = train(Tail(split, boundary), batches, RECIPE, freezing).final
    labels = torch.from_numpy(cached.labels)
    through = train(whole, ImageBatches(images, labels), RECIPE, freezing).final

    trained = {
        f"tower.{each}" for block in blocks(before)[first:] for each in block.parameter_names
    }
    assert from_cache.keys() == through.keys() == trained | {"head.weight", "head.bias"}
    for key, value in from_cache.items():
        # Adam's steps are of the size of the learning rate, whatever the gradient's.
        torch.testing.assert_close(value, through[key], atol=2e-4, rtol=1e-3)
    moved = [key for key, value in from_cache.items() if not torch.equal(value, start[key])]
    assert len(moved) > len(from_cache) / 2
    # What was trained is in the classifier; its frozen parameters and all statistics stay.
    state = split.state_dict()
    assert all(torch.equal(state[key], value) for key, value in from_cache.items())
    for key, value in before.state_dict().items():
        if f"tower.{key}" not in from_cache:
            assert torch.equal(state[f"tower.{key}"], value), key


def test_a_tail_starts_as_the_classifier() -> None:
    """Before the first step the logits are those of the frozen features."""
    tower = _tower("test_resnet")
    head, images = _head(tower), _images(4)
    activations = _lower(tower, "layer2.0", images)
    classifier = Classifier(tower, SQUARE, head).eval()
    with torch.no_grad():
        logits = Tail(classifier, "layer2.0").eval()(activations)
        torch.testing.assert_close(logits, classifier(images), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("seed", range(2))
def test_a_killed_training_ends_bit_equal(tmp_path: Path, seed: int) -> None:
    """From cached activations as from images: stopped at any steps, it is the same in the end."""
    tower = _tower("test_efficientnet")
    head, boundary = _head(tower), TOWERS["test_efficientnet"]
    cached = _cached(tmp_path, _lower(tower, boundary, _images(ROWS)), views=2)
    freezing = Freezing.of(tower, 4)
    rng = random.Random(seed)  # noqa: S311  # no secret
    recipe = replace(RECIPE, steps=12)

    def run(path: Path | None, last: int = 99) -> dict[str, Tensor]:
        def die(progress: Progress) -> None:
            if progress.step >= last:
                raise _Killed

        model = Tail(Classifier(copy.deepcopy(tower), SQUARE, head), boundary)
        batches = ActivationBatches(cached, recipe.batch_size, recipe.seed)
        kept = None if path is None else Checkpoint(path, "one", rng.choice([0.0, 0.02]))
        return train(model, batches, recipe, freezing, checkpoint=kept, on_step=die).final

    for _ in range(3):
        with contextlib.suppress(_Killed):
            run(tmp_path / "state", rng.randrange(1, 12))
    resumed, whole = run(tmp_path / "state"), run(None)
    assert all(torch.equal(resumed[key], value) for key, value in whole.items())


class _Killed(BaseException):
    pass


def test_a_batch_is_a_function_of_the_step(tmp_path: Path) -> None:
    """Rows and views are the same whatever was asked before; all views come, rows are right."""
    values = torch.arange(ROWS * 6, dtype=torch.float32).reshape(ROWS, 2, 3)
    table = _cached(tmp_path, values, views=3)
    batches = ActivationBatches(table, 8, seed=5)
    later = batches.batch(7)
    seen = set()
    for step in range(8):
        batch = batches.batch(step)
        assert batch.inputs.dtype == torch.float32
        rows = rows_of_step(5, step, 8, ROWS)
        views = batch.inputs - values[rows]
        assert all(len(view.unique()) == 1 for view in views)
        seen |= {int(view[0, 0]) for view in views}
        assert batch.labels.tolist() == [row % CLASSES for row in rows]
    assert torch.equal(batch.inputs, later.inputs)
    assert seen == {0, 1, 2}
