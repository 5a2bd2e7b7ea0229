"""Training the tail from cached activations is training through the frozen part."""

from __future__ import annotations

import copy
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
from embedcache.finetuning.recipe import recipe_for
from embedcache.finetuning.sampling import rows_of_step
from embedcache.finetuning.tail import Tail, tail_freezing
from embedcache.finetuning.training import train
from embedcache.heads.forms.linear import Linear
from embedcache.store.cache import FeatureCache
from embedcache.store.writer import write_cache

ROWS, CLASSES, SIDE = 24, 3, 32
RECIPE = recipe_for("efficientnet", ROWS, learning_rate=1e-3, steps=5, batch_size=8)
TOWERS = {
    "test_efficientnet": "blocks.2.0",
    "test_resnet": "layer3.0",
    "test_convnext": "stages.1.blocks.0",
    "test_vit": "blocks.3",
}


class Whole(nn.Module):
    """Images to logits."""

    def __init__(self, tower: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.tower, self.head = tower, head

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.tower(images))


@dataclass(frozen=True)
class ImageBatches:
    """The same rows as from the cache, as images."""

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


@pytest.mark.parametrize("name", TOWERS)
def test_training_from_the_cache_is_training_through_the_frozen_part(
    name: str, tmp_path: Path
) -> None:
    """The same batches lead to the same weights; what is frozen stays, bit by bit."""
    boundary, before = TOWERS[name], _tower(name)
    images = torch.randn(ROWS, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    head = _head(before)
    lower, _ = split_at(before, boundary)
    with torch.no_grad():
        cached = _cached(tmp_path, lower(images))
    freezing = tail_freezing(before, boundary)

    tail = Tail(copy.deepcopy(before), boundary, head)
    whole = Whole(copy.deepcopy(before), copy.deepcopy(tail.head))
    batches = ActivationBatches(cached, RECIPE.batch_size, RECIPE.seed)
    from_cache = train(tail, batches, RECIPE, freezing).final
    labels = torch.from_numpy(cached.labels)
    through = train(whole, ImageBatches(images, labels), RECIPE, freezing).final

    first = [block.name for block in blocks(before)].index(boundary)
    trained = {
        f"tower.{each}" for block in blocks(before)[first:] for each in block.parameter_names
    }
    assert from_cache.keys() == through.keys() == trained | {"head.weight", "head.bias"}
    start = dict(Whole(before, Tail(before, boundary, head).head).named_parameters())
    for key, value in from_cache.items():
        # Adam's steps are of the size of the learning rate, whatever the gradient's.
        torch.testing.assert_close(value, through[key], atol=2e-4, rtol=1e-3)
    moved = [key for key, value in from_cache.items() if not torch.equal(value, start[key])]
    assert len(moved) > len(from_cache) / 2
    after = tail.tower.state_dict()
    for key, value in before.state_dict().items():
        if f"tower.{key}" not in from_cache:
            assert torch.equal(after[key], value), key


def test_a_tail_starts_as_the_tower_and_the_head() -> None:
    """Before the first step the logits are those of the frozen features."""
    tower = _tower("test_resnet")
    head, images = _head(tower), torch.randn(4, 3, SIDE, SIDE)
    lower, _ = split_at(tower, "layer2.0")
    with torch.no_grad():
        features = tower(images).double().numpy()
        logits = Tail(tower, "layer2.0", head).eval()(lower(images))
    np.testing.assert_allclose(logits.numpy(), head.logits(features), atol=1e-4)


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
