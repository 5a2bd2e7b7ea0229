"""Fine-tuning the tail: what is cached, what is trained from it, and what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lab import split_pictures
from safetensors.torch import load_file
from shop import BACKBONE
from small_models import timm_model
from torch import Tensor

from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.load import build_architecture
from embedcache.errors import BackboneError, UsageError
from embedcache.finetuning.record import FinetuneRecord
from embedcache.records.backbone import READING_MARK
from embedcache.store.cache import FeatureCache
from embedcache.workflows.extract import extract_source
from embedcache.workflows.finetune import finetune
from embedcache.workflows.finetune_options import FinetuneOptions
from embedcache.workflows.fit import fit_head

TAIL = FinetuneOptions(
    unfreeze="tail",
    boundary="last-4",
    steps=4,
    batch_size=8,
    workers=0,
    precision="float32",
    device="cpu",
)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red and green pictures under train/ and test/, cached by a real backbone."""
    folder = tmp_path_factory.mktemp("tail")
    split_pictures(folder / "photos", train=9, test=4)
    extract_source(folder / "photos", **BACKBONE, cache_dir=folder / "cache")
    return folder


@pytest.fixture
def place(original: Path, tmp_path: Path) -> Path:
    """A copy of the cache, and a run on it; the pictures are those of `original`."""
    shutil.copytree(original / "cache", tmp_path / "cache")
    fit_head(cache_dir=tmp_path / "cache", runs_dir=tmp_path / "runs", values=(0.01,))
    return tmp_path


def tune(
    place: Path, options: FinetuneOptions, **more: object
) -> tuple[dict[str, Tensor], FinetuneRecord]:
    """The tuned weights, and how they came about."""
    more = {"force": True, "overwrite": True, **more}
    (run,) = (place / "runs").glob("*-logreg-1")
    done = finetune(run, options, cache_dir=place / "cache", runs_dir=place / "runs", **more)
    return load_file(done.path / "tuned.safetensors"), done.record


def activations(place: Path) -> list[FeatureCache]:
    """Every cache of them."""
    found = [FeatureCache(path) for path in sorted((place / "cache").glob("*/*.h5"))]
    return [cache for cache in found if READING_MARK in cache.meta.backbone.name]


def test_it_is_training_the_same_blocks_from_images(place: Path) -> None:
    """But for the rounding of activations to float16; what is below stays as it was."""
    tail, record = tune(place, TAIL)
    images, _ = tune(place, replace(TAIL, unfreeze="last-4", boundary="auto"))
    assert (record.trained_blocks, record.blocks) == (4, 17)
    assert record.plan.tail is not None
    assert record.plan.tail.boundary == "blocks.5.1"
    assert record.plan.caching_seconds > 0
    architecture = build_architecture(BackboneRequest("bundled/efficientnet_lite0"))
    before = architecture.module.state_dict()
    moved = {
        name for name, value in before.items() if not torch.equal(tail[f"tower.{name}"], value)
    }
    parts = ("blocks.5.1", "blocks.5.2", "blocks.5.3", "blocks.6.0", "conv_head", "bn2")
    assert {part for part in parts if any(name.startswith(part) for name in moved)} == set(parts)
    assert all(name.startswith(parts) and "running" not in name for name in moved)
    changes = torch.cat([(images[f"tower.{name}"] - before[name]).flatten() for name in moved])
    apart = torch.cat([(images[f"tower.{n}"] - tail[f"tower.{n}"]).flatten() for n in moved])
    assert apart.norm() < 0.2 * changes.norm()
    (cache,) = activations(place)
    assert len(cache) == record.train_rows


class _Killed(BaseException):
    pass


def test_killed_anywhere_it_goes_on(place: Path) -> None:
    """While it caches or while it trains: in the end the weights are the same, bit by bit."""
    options = replace(TAIL, views=2, augment="crop", checkpoint_minutes=0.0, steps=8)
    whole, record = tune(place, options)
    assert record.plan.tail is not None
    assert record.plan.tail.views == 2
    one, two = activations(place)
    rows = len(one)
    assert one.identity.view != two.identity.view
    for cache in (one, two):
        cache.path.unlink()
    for last in (3, rows + 2, rows + 3, 2):
        heard: list[int] = []

        def die(step: int, _total: int, heard: list[int] = heard, last: int = last) -> None:
            heard.append(step)
            if len(heard) == last:
                raise _Killed

        with pytest.raises(_Killed):
            tune(place, options, on_step=die)
    notes: list[str] = []
    steps: list[int] = []
    resumed, _ = tune(
        place, options, notify=notes.append, on_step=lambda step, _: steps.append(step)
    )
    assert "going on with an unfinished training" in notes
    assert steps[-1] == 8
    assert len(steps) < 8
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_disk_and_time_are_said_before_anything_is_cached(place: Path) -> None:
    """Where the tail begins follows from the costs, is said first, and is in the record."""
    notes: list[str] = []
    cached: list[int] = []

    def notify(text: str) -> None:
        notes.append(text)
        if text.startswith("tail: "):
            cached.append(len(activations(place)))

    _, record = tune(place, replace(TAIL, boundary="auto"), notify=notify)
    assert record.plan.tail is not None
    (told,) = (text for text in notes if text.startswith("tail: "))
    boundary = record.plan.tail.boundary
    assert told.startswith(f"tail: 1 view of {record.train_rows} images at {boundary}, ")
    assert "on disk; about 0.0 minutes to cache, 0.0 to train" in told
    assert cached == [0]
    assert any(text.startswith("cost: about") for text in notes)


def test_moved_images_are_found_by_their_names(place: Path, original: Path) -> None:
    """In another folder they lead to the same; under other names they are refused."""
    expected, _ = tune(place, TAIL)
    for cache in activations(place):
        cache.path.unlink()
    moved = place / "moved"
    shutil.copytree(original / "photos", moved)
    found, _ = tune(place, replace(TAIL, source=moved))
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    for path in list((moved / "train").rglob("*.png")):
        path.rename(path.with_stem(f"new{path.stem}"))
    with pytest.raises(UsageError, match="--unfreeze last-N"):
        tune(place, replace(TAIL, source=moved))


def test_a_backbone_that_cannot_be_split_is_refused(tmp_path: Path) -> None:
    """Before anything is trained, naming the families that can be."""
    split_pictures(tmp_path / "photos", train=6, test=2)
    model = timm_model(tmp_path, "mobilenetv3_small_050.lamb_in1k")
    asked = {"weights": model.request.weights, "image_size": 32}
    extract_source(tmp_path / "photos", model.request.name, **asked, cache_dir=tmp_path / "cache")
    fit_head(cache_dir=tmp_path / "cache", runs_dir=tmp_path / "runs", values=(0.01,))
    with pytest.raises(BackboneError, match="blocks begin"):
        tune(tmp_path, replace(TAIL, boundary="auto"))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"unfreeze": "last-1"}, "only the tail"),
        ({"unfreeze": "all", "boundary": "auto", "views": 2}, "only the tail"),
        ({"augment": "strong"}, "unknown augment"),
        ({"views": 2}, "more views"),
        ({"views": 1, "augment": "crop"}, "more views"),
        ({"views": 0}, "--views is above 0"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, object], what: str) -> None:
    """When it is written down, before anything is loaded."""
    with pytest.raises(UsageError, match=what):
        replace(TAIL, **changes)
