"""The pilot trains on training rows, is measured on validation rows, and says what it found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lab import Lab
from safetensors.torch import load_file, save_file
from small_models import timm_model

from embedcache.decision.pilot_result import PilotTask
from embedcache.errors import IdentityMismatchError, UsageError
from embedcache.finetuning import recipe
from embedcache.store.cache import FeatureCache
from embedcache.workflows.extract import extract_source
from embedcache.workflows.pilot import make_pilot

TRAIN, VALIDATION, TEST = np.arange(0, 20, 2), np.array([1, 5, 11, 15]), np.array([3, 19])


@pytest.fixture
def features(lab: Lab) -> FeatureCache:
    """The features of twenty pictures by a small ResNet."""
    model = timm_model(lab.photos.parent)
    done = extract_source(
        lab.photos,
        model.request.name,
        weights=model.request.weights,
        image_size=32,
        cache_dir=lab.cache_dir,
    )
    return FeatureCache(done.cache)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe of few steps."""
    monkeypatch.setattr(recipe, "MIN_STEPS", 4)
    monkeypatch.setattr(recipe, "EPOCHS", 1)


def _task(features: FeatureCache, minutes: float = 60.0) -> PilotTask:
    return PilotTask(
        TRAIN,
        features.y[TRAIN],
        VALIDATION,
        features.y[VALIDATION],
        np.full(len(VALIDATION), -1, np.int32),
        features.classes,
        {"C": 0.01},
        np.array([True, True, False, True]),
        minutes,
        0,
    )


@pytest.mark.usefixtures("short")
def test_a_pilot_is_measured_on_the_validation_rows(features: FeatureCache, lab: Lab) -> None:
    """The counts are of these rows, and no other image is even read: it may be gone."""
    for row in TEST:
        (lab.photos / features.ids.text(int(row))).unlink()
    result = make_pilot(features, device="cpu")(_task(features))
    assert result.rows == 4
    assert result.frozen_accuracy == 0.75
    assert result.gain == pytest.approx(result.tuned_accuracy - 0.75)
    assert result.low <= result.gain <= result.high
    assert result.only_tuned - result.only_frozen == pytest.approx(4 * result.gain)
    assert result.boundary.startswith("layer")
    assert result.views in (1, 2, 4)
    assert result.minutes > 0


@pytest.mark.usefixtures("short")
def test_the_same_pilot_finds_the_same(features: FeatureCache) -> None:
    """Only the minutes may differ from one run to the next."""
    pilot = make_pilot(features, device="cpu")
    first, second = pilot(_task(features)), pilot(_task(features))
    assert replace(first, minutes=0) == replace(second, minutes=0)


def test_a_budget_that_cannot_suffice_is_refused(features: FeatureCache) -> None:
    """The error says what would."""
    with pytest.raises(UsageError, match="budget"):
        make_pilot(features, device="cpu")(_task(features, minutes=1e-6))


def test_another_backbone_is_refused(features: FeatureCache) -> None:
    """Weights that changed since the features were cached start no pilot."""
    path = features.meta.request["weights"]
    state = load_file(path)
    save_file({name: value + 1 for name, value in state.items()}, path)
    with pytest.raises(IdentityMismatchError, match="not the one"):
        make_pilot(features, device="cpu")(_task(features))
