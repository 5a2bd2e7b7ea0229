"""Activations are cached for the asked rows and views, once, beside the features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lab import GREEN, RED, Lab, paint
from small_models import SmallModel, timm_model

from embedcache.backbones import load
from embedcache.backbones.load import build_architecture
from embedcache.backbones.splitting import split_at
from embedcache.errors import CacheInvalidError
from embedcache.extraction import plan
from embedcache.store.cache import FeatureCache
from embedcache.store.catalog import choose_cache
from embedcache.workflows import activations, inventory
from embedcache.workflows.activations import cache_view, view_names
from embedcache.workflows.extract import extract_source
from embedcache.workflows.repair import repair

BOUNDARY = "layer3.0"
SIZE = 32


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    """A small ResNet of timm with random weights."""
    return timm_model(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def features(lab: Lab, model: SmallModel) -> FeatureCache:
    """The features of twenty pictures."""
    done = extract_source(
        lab.photos,
        model.request.name,
        weights=model.request.weights,
        image_size=SIZE,
        cache_dir=lab.cache_dir,
        batch_size=4,
    )
    return FeatureCache(done.cache)


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each extraction of activations embedded."""
    counts: list[int] = []
    real = activations.extract

    def counted(*given: object, **named: object) -> object:
        done = real(*given, **named)  # type: ignore[arg-type]  # passed on as it came
        counts.append(done.embedded)
        return done

    monkeypatch.setattr(activations, "extract", counted)
    return counts


@torch.no_grad()
def test_the_rest_of_the_tower_makes_features_of_them(
    features: FeatureCache, model: SmallModel
) -> None:
    """From the cached activations the upper part computes the cached features."""
    rows = np.array([3, 17, 4])
    view = cache_view(features, rows, BOUNDARY, None)
    tower = build_architecture(replace(model.request, image_size=SIZE)).module
    lower, upper = split_at(tower, BOUNDARY)
    shape = lower(torch.zeros(1, 3, SIZE, SIZE)).shape[1:]
    values = torch.from_numpy(view.cache.rows(view.rows).astype(np.float32))
    again = upper(values.reshape(-1, *shape)).numpy()
    expected = features.rows(rows).astype(np.float32)
    np.testing.assert_allclose(again, expected, atol=0.01 * np.abs(expected).max())


def test_only_what_is_asked_for_is_embedded_and_only_once(
    features: FeatureCache, embedded: list[int]
) -> None:
    """Other rows add to the cache, the same rows cost nothing, each view costs itself."""
    first = cache_view(features, np.arange(6), BOUNDARY, None)
    assert len(first.cache) == 6
    cache_view(features, np.arange(6), BOUNDARY, None)
    both = cache_view(features, np.array([9, 2]), BOUNDARY, None)
    assert len(both.cache) == 7
    assert np.array_equal(both.cache.sha256[both.rows], features.sha256[[9, 2]])
    other = cache_view(features, np.arange(6), BOUNDARY, "crop-1-0")
    assert other.cache.path != first.cache.path
    assert not np.array_equal(other.cache.X[other.rows], first.cache.X[first.rows])
    assert embedded == [6, 0, 1, 6]


def test_a_changed_image_is_refused(features: FeatureCache, lab: Lab) -> None:
    """Bytes that its features were not made of are no training row."""
    paint(lab.photos / "red" / "3.png", GREEN, 500)
    row = list(features.ids).index(b"red/3.png")
    with pytest.raises(CacheInvalidError, match="other bytes"):
        cache_view(features, np.array([0, row]), BOUNDARY, None)


def test_the_catalog_lists_them_but_does_not_choose_them(features: FeatureCache) -> None:
    """`ls` shows a cache of activations; a command without a cache takes the features."""
    view = cache_view(features, np.arange(6), BOUNDARY, "flip-1-0")
    root = features.path.parent.parent
    assert choose_cache(root, "fit-head") == features.path
    listed = {entry.path: entry.backbone for entry in inventory.caches(root)}
    assert listed[view.cache.path].endswith(f"#{BOUNDARY}#flip-1-0")
    assert inventory.leftovers(root, root / "runs") == []
    (leftover,) = inventory.leftovers(root, root / "runs", activations=True)
    assert leftover.path == view.cache.path


class _Killed(BaseException):
    """Ends an extraction where it is."""


class _Killer:
    def __init__(self, at: int) -> None:
        self.at = at

    def note(self, text: str) -> None:
        pass

    def progress(self, done: int, total: int) -> None:
        if done == min(self.at, total):
            raise _Killed


@pytest.fixture
def _small_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "_BATCH_SIZE", 2)
    monkeypatch.setattr(plan, "_LEAST_ROWS", 4)
    monkeypatch.setattr(plan, "_MOST_ROWS", 4)


@pytest.fixture
def twin(tmp_path: Path, model: SmallModel) -> Callable[[str], FeatureCache]:
    """Features of twelve pictures under a root of that name."""
    for index in range(12):
        paint(tmp_path / "photos" / "a" / f"{index}.png", RED, index)

    def make(name: str) -> FeatureCache:
        done = extract_source(
            tmp_path / "photos",
            model.request.name,
            weights=model.request.weights,
            image_size=SIZE,
            cache_dir=tmp_path / name,
        )
        return FeatureCache(done.cache)

    return make


@pytest.mark.usefixtures("_small_jobs")
def test_killed_and_run_again_is_bit_equal(
    twin: Callable[[str], FeatureCache], embedded: list[int]
) -> None:
    """Whatever moment it is killed at, the same call completes it, with the same rows."""
    whole, killed = twin("whole"), twin("killed")
    rows = np.arange(12)
    expected = cache_view(whole, rows, BOUNDARY, "crop-1-0", device="cpu")
    for moment in (3, 6):
        with pytest.raises(_Killed):
            cache_view(killed, rows, BOUNDARY, "crop-1-0", device="cpu", observer=_Killer(moment))
    got = cache_view(killed, rows, BOUNDARY, "crop-1-0", device="cpu")
    assert got.cache.content_digest == expected.cache.content_digest
    assert embedded == [12, 8]  # the first job of four was done before the second kill


def test_damage_is_found_and_repaired(features: FeatureCache) -> None:
    """A flipped bit is refused, and `verify --repair` computes those rows again."""
    view = cache_view(features, np.arange(6), BOUNDARY, "crop-1-0")
    before, path = view.cache.X.copy(), view.cache.path
    data = bytearray(path.read_bytes())
    data[data.index(before[2].tobytes()) + 1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CacheInvalidError, match="damaged"):
        _ = FeatureCache(path).X
    assert repair(path).embedded == 6
    assert np.array_equal(FeatureCache(path).X, before)


def test_views_are_numbered_from_the_plain_image_on() -> None:
    """The first view is no augmentation at all."""
    assert view_names("crop", 3, 7) == (None, "crop-1-7", "crop-2-7")
