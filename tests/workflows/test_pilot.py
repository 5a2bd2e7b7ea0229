"""The pilot trains on training rows, is measured on validation rows, and says what it found."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from lab import Lab
from safetensors.torch import load_file, save_file
from small_models import timm_model
from torch import nn

from embedcache.decision.pilot_result import PilotTask
from embedcache.errors import IdentityMismatchError, UsageError
from embedcache.extraction.records import NotesOnly, SilentObserver
from embedcache.finetuning import recipe, splits
from embedcache.finetuning.curve import Progress
from embedcache.finetuning.precision import training_precision
from embedcache.finetuning.recipe import Recipe
from embedcache.finetuning.start import Start, starting_head
from embedcache.store.cache import FeatureCache
from embedcache.workflows import pilot_training
from embedcache.workflows.deadline import Deadline
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
        0.01,
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
    assert result.steps == result.wanted == 4


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


@pytest.mark.usefixtures("short")
def test_it_says_what_it_will_cost_before_it_starts(features: FeatureCache) -> None:
    """Views, block, disk and seconds first; then the steps that real ones leave time for."""
    told: list[str] = []
    make_pilot(features, device="cpu", observer=NotesOnly(told.append))(_task(features))
    ours = [text for text in told if text.startswith("pilot: ")]
    assert re.fullmatch(
        r"pilot: \d views? at layer\S+, \S+ MB on disk; "
        r"about \d+ s to cache, \d+ s to train, in 60 min",
        ours[0],
    )
    assert re.fullmatch(r"pilot: 4 steps of \d+ ms on \d views?", ours[1])


def _over_after(monkeypatch: pytest.MonkeyPatch, event: str) -> None:
    """The time is over once an observer has heard of this."""
    over: list[bool] = []
    monkeypatch.setattr(Deadline, "left", property(lambda _: -1.0 if over else 1e4), raising=True)
    monkeypatch.setattr(Heard, "over", over, raising=False)
    monkeypatch.setattr(Heard, "event", event)


class Heard(SilentObserver):
    """Ends the time at an event."""

    over: list[bool]  # shared with the clock
    event = ""
    training = False

    def note(self, text: str) -> None:
        self.training |= " steps of " in text

    def progress(self, done: int, total: int) -> None:
        at_work = "step" if self.training else "image"
        if self.event == at_work and 2 == done < total:
            self.over.append(True)


@pytest.mark.usefixtures("short")
def test_the_budget_ends_the_caching(
    features: FeatureCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says how far it came; with more time the same call goes on."""
    _over_after(monkeypatch, "image")
    with pytest.raises(UsageError, match="ran out") as stopped:
        make_pilot(features, device="cpu", observer=Heard())(_task(features))
    assert stopped.value.got is not None
    assert stopped.value.got.startswith("activations of 2 of 14 images")
    monkeypatch.undo()
    assert make_pilot(features, device="cpu")(_task(features, minutes=60)).rows == 4


@pytest.mark.usefixtures("short")
def test_the_budget_ends_the_training(
    features: FeatureCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps slower than those timed leave a result that says how many were taken."""
    _over_after(monkeypatch, "step")
    result = make_pilot(features, device="cpu", observer=Heard())(_task(features))
    assert (result.steps, result.wanted) == (2, 4)


@pytest.mark.usefixtures("short")
def test_slow_steps_are_fewer(features: FeatureCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Views that would cost steps are left out, and the steps are those that fit."""
    monkeypatch.setattr(recipe, "MIN_STEPS", 1_000)
    monkeypatch.setattr("embedcache.finetuning.cost.measure_step", lambda *_, **__: 5.0)
    monkeypatch.setattr("embedcache.workflows.pilot_training.train", _no_training)
    result = make_pilot(features, device="cpu")(_task(features))
    assert result.views == 1
    assert 600 <= result.steps <= 0.9 * 3600 / 5


def _no_training(*arguments: Any, on_step: Any, **_: Any) -> None:
    steps = arguments[2].steps
    on_step(Progress(steps, 32, 0.0, (), ()))


def test_images_that_are_gone_are_missed_before_anything_is_loaded(
    features: FeatureCache, lab: Lab
) -> None:
    """The first of them is named."""
    (lab.photos / features.ids.text(int(TRAIN[3]))).unlink()
    with pytest.raises(UsageError, match="1 of 14 images are not there"):
        make_pilot(features, device="cpu")(_task(features))


@pytest.mark.usefixtures("short")
def test_it_starts_from_a_softened_head_where_the_head_interpolates(
    features: FeatureCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `finetune` does, and fitted without the validation rows."""
    seen: list[Start] = []

    def noted(*arguments: Any) -> Start:
        assert arguments[2].tolist() == [False] * len(TRAIN) + [True] * len(VALIDATION)
        seen.append(starting_head(*arguments))
        return seen[-1]

    monkeypatch.setattr("embedcache.finetuning.start.starting_head", noted)
    # Labels that say nothing: what fits them knows them by heart.
    labels = np.array([0, 1] * 5, np.int32)
    task = replace(_task(features), train_labels=labels, c=1e6)
    make_pilot(features, device="cpu")(task)
    assert seen[0].softened


@pytest.mark.usefixtures("short")
def test_blocks_are_timed_as_they_are_trained(
    features: FeatureCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one layout, precision and number of threads: in others late blocks look cheapest."""
    timed, trained = splits.profile, pilot_training.train
    seen: list[tuple[bool, str, int]] = []

    def note(tower: nn.Module, precision: str) -> None:
        kernels = [each for each in tower.parameters() if each.ndim == 4]
        is_last = all(each.is_contiguous(memory_format=torch.channels_last) for each in kernels)
        seen.append((is_last, precision, torch.get_num_threads()))

    def profile(tower: nn.Module, *given: Any) -> Any:
        note(tower, given[-1])
        return timed(tower, *given)

    def train(model: nn.Module, batches: Any, recipe: Recipe, *given: Any, **named: Any) -> Any:
        note(model.get_submodule("tower"), recipe.precision)
        return trained(model, batches, recipe, *given, **named)

    monkeypatch.setattr(splits, "profile", profile)
    monkeypatch.setattr(pilot_training, "train", train)
    make_pilot(features, device="cpu")(_task(features))
    precision = training_precision(torch.device("cpu"))
    assert seen == [(True, precision, torch.get_num_threads())] * 2
