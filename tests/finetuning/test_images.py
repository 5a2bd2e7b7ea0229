"""Batches of images: what they hold is a function of the step."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import png

from embedcache.errors import CacheInvalidError
from embedcache.finetuning.augment import AUGMENTATIONS, augmentation
from embedcache.finetuning.images import ImageBatches, Images, InOrder
from embedcache.finetuning.loading import stream
from embedcache.inputs.preprocess import Preprocessing
from embedcache.records.strings import Strings

SQUARE = Preprocessing(
    "squash", (16, 16), (16, 16), "bilinear", None, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
)


@pytest.fixture
def images(tmp_path: Path) -> Images:
    """Ten pictures of three classes."""
    paths = []
    for seed in range(10):
        path = tmp_path / f"{seed}.png"
        path.write_bytes(png(seed))
        paths.append(path)
    sums = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in paths)
    return Images(
        Strings.of(map(str, paths)),
        np.frombuffer(sums, np.uint8).reshape(-1, 32),
        np.arange(10) % 3,
        np.linspace(0.5, 1.5, 10, dtype=np.float32),
        SQUARE,
    )


@pytest.mark.parametrize("augment", AUGMENTATIONS)
def test_a_batch_is_a_function_of_its_step(images: Images, augment: str) -> None:
    """Whatever was drawn before, in whatever order, here or in another process."""
    batches = ImageBatches(images, 4, 0, augment)
    state = torch.get_rng_state()
    first = [batches.batch(step) for step in range(4)]
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(7)
    copied = pickle.loads(pickle.dumps(batches))
    for step in (2, 0, 3, 1):
        again = copied.batch(step)
        assert torch.equal(again.inputs, first[step].inputs)
        assert torch.equal(again.labels, first[step].labels)
    assert first[0].inputs.shape == (4, 16, 16, 3)
    assert first[0].inputs.dtype == torch.uint8


def test_other_processes_give_the_same(images: Images) -> None:
    """In order, and from the step that is asked for."""
    batches = ImageBatches(images, 4, 0, "light")
    here, there = (list(stream(batches, 2, 6, workers)) for workers in (0, 2))
    assert len(here) == len(there) == 4
    for one, other in zip(here, there, strict=True):
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.weights, other.weights)


@pytest.mark.parametrize("augment", [name for name in AUGMENTATIONS if name != "none"])
def test_augmentation_changes_pictures(images: Images, augment: str) -> None:
    """Each preset changes some, keeps shape and type, and differs from epoch to epoch."""
    plain, changed = ImageBatches(images, 10, 0, "none"), ImageBatches(images, 10, 0, augment)
    assert torch.equal(plain.batch(0).labels, changed.batch(0).labels)
    assert not torch.equal(plain.batch(0).inputs, changed.batch(0).inputs)
    shape, kind = changed.batch(0).inputs.shape, changed.batch(0).inputs.dtype
    assert (shape, kind) == ((10, 16, 16, 3), torch.uint8)


def test_flips_only_flip() -> None:
    """A flipped picture has the same pixels in another order."""
    change = augmentation("flips")
    assert change is not None
    picture = torch.randint(0, 256, (3, 5, 7), dtype=torch.uint8)
    seen = {tuple(change(picture).flatten().tolist()) for _ in range(60)}
    wanted = {tuple(picture.flip(sides).flatten().tolist()) for sides in ([], [1], [2], [1, 2])}
    assert seen == wanted


def test_in_order(images: Images) -> None:
    """Every row once, the last batch smaller."""
    rows = InOrder(images, 4)
    labels = torch.cat([rows.batch(step).labels for step in range(rows.count)])
    assert labels.tolist() == images.labels.tolist()
    assert len(rows.batch(2)) == 2


@pytest.mark.parametrize("workers", [0, 1])
def test_changed_bytes_are_refused(images: Images, workers: int) -> None:
    """By name, from this process or another."""
    Path(images.paths.text(3)).write_bytes(png(77))
    with pytest.raises(CacheInvalidError, match=r"3\.png"):
        list(stream(InOrder(images, 4), 0, 3, workers))


def test_a_missing_file_is_refused(images: Images) -> None:
    """With its path."""
    Path(images.paths.text(3)).unlink()
    with pytest.raises(CacheInvalidError, match=r"3\.png"):
        images.image(3)
