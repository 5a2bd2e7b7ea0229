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

from embedcache.decision.pilot_result import Division, PilotTask
from embedcache.errors import IdentityMismatchError, UsageError
from embedcache.evaluation.folds import NEVER
from embedcache.extraction.records import NotesOnly, SilentObserver
from embedcache.finetuning import recipe, splits
from embedcache.finetuning.curve import Progress
from embedcache.finetuning.precision import training_precision
from embedcache.finetuning.recipe import Recipe
from embedcache.finetuning.start import Start, starting_head
from embedcache.store.cache import FeatureCache
from embedcache.workflows import pilot as pilot_workflow
from embedcache.workflows import pilot_plan, pilot_training
from embedcache.workflows.deadline import Deadline
from embedcache.workflows.extract import extract_source
from embedcache.workflows.pilot import make_pilot

TRAIN, VALIDATION, TEST = np.arange(0, 20, 2), np.array([1, 5, 11, 15]), np.array([3, 19])
ROWS = np.concatenate([TRAIN, VALIDATION])
FROZEN = np.array([True] * len(TRAIN) + [True, True, False, True])


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


def _divided(trainings: int) -> Division:
    """The last rows by one training, or every row in turn."""
    if trainings == 1:
        return Division(np.r_[np.full(len(TRAIN), NEVER), np.zeros(len(VALIDATION), int)], FROZEN)
    return Division(np.arange(len(ROWS)) // 2 % trainings, FROZEN)


def _task(
    features: FeatureCache, minutes: float = 60.0, trainings: tuple[int, ...] = (1,)
) -> PilotTask:
    return PilotTask(
        ROWS,
        features.y[ROWS],
        np.full(len(ROWS), -1, np.int32),
        features.classes,
        0.01,
        trainings,
        _divided,
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
    assert result.trainings == result.asked == 1


@pytest.mark.usefixtures("short")
def test_the_same_pilot_finds_the_same(features: FeatureCache) -> None:
    """Only what is timed may differ from one run to the next."""
    pilot = make_pilot(features, device="cpu")
    first, second = pilot(_task(features)), pilot(_task(features))
    timed = {"minutes": 0, "share": 1, "whole": 0}
    assert replace(first, **timed) == replace(second, **timed)


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
    with monkeypatch.context() as patched:  # what makes trainings short stays
        _over_after(patched, "image")
        with pytest.raises(UsageError, match="ran out") as stopped:
            make_pilot(features, device="cpu", observer=Heard())(_task(features))
    assert stopped.value.got is not None
    assert stopped.value.got.startswith("activations of 2 of 14 images")
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
    task = replace(_task(features), labels=np.r_[labels, features.y[VALIDATION]], c=1e6)
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


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several trainings, too: 4 each."""
    monkeypatch.setattr("embedcache.workflows.pilot_plan.FEWEST_STEPS", 4)
    monkeypatch.setattr("embedcache.workflows.pilot_plan._EPOCHS", 1)
    monkeypatch.setattr("embedcache.finetuning.tail_plan.FEWEST_STEPS", 4)


@pytest.mark.usefixtures("short", "few_steps")
def test_each_row_is_validated_by_a_training_that_lacks_it(
    features: FeatureCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rows are judged, each view is cached once for all, and each training starts anew."""
    seen: list[tuple[set[int], bytes]] = []
    trained = pilot_training.train
    cached: list[object] = []
    view = pilot_workflow.cache_view

    def noted(model: nn.Module, batches: Any, *given: Any, **named: Any) -> Any:
        rows = set(batches.activations.rows[0].tolist())
        weights = torch.cat([each.flatten() for each in model.get_submodule("tower").parameters()])
        seen.append((rows, weights.detach().numpy().tobytes()))
        return trained(model, batches, *given, **named)

    def counted(*given: Any, **named: Any) -> Any:
        cached.append(given[3])
        return view(*given, **named)

    monkeypatch.setattr(pilot_training, "train", noted)
    monkeypatch.setattr(pilot_workflow, "cache_view", counted)
    told: list[str] = []
    task = _task(features, trainings=(3, 1))
    result = make_pilot(features, device="cpu", observer=NotesOnly(told.append))(task)
    assert (result.rows, result.trainings, result.asked) == (14, 3, 3)
    assert result.is_complete
    places = sorted(set.union(*(rows for rows, _ in seen)))
    lacking = [[place for place in places if place not in rows] for rows, _ in seen]
    assert sorted(place for each in lacking for place in each) == places
    assert len({weights for _, weights in seen}) == 1
    assert len(cached) == len(set(cached)) == result.views
    assert any("to train 3 times, each time without a part" in text for text in told)
    assert any(text.startswith("pilot: training 3 of 3, 4 steps of ") for text in told)


@pytest.mark.usefixtures("short", "few_steps")
def test_where_the_time_is_too_short_for_several_trainings_there_is_one(
    features: FeatureCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no complete answer then, and says how many times as long one would take."""
    monkeypatch.setattr(pilot_plan, "plan_crossed", lambda *_, **__: None)
    result = make_pilot(features, device="cpu")(_task(features, trainings=(5, 4, 3, 1)))
    assert (result.rows, result.trainings, result.asked) == (4, 1, 3)
    assert not result.is_complete
    assert result.missing == 3


@pytest.mark.usefixtures("short", "few_steps")
def test_trainings_that_take_too_long_leave_the_parts_that_were_answered(
    features: FeatureCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their rows are judged, and no others."""
    within, asked = pilot_training.steps_within, []

    def twice(*given: Any) -> int:
        asked.append(given)
        return within(*given) if len(asked) < 3 else within(0.0, *given[1:])

    monkeypatch.setattr(pilot_training, "steps_within", twice)
    result = make_pilot(features, device="cpu")(_task(features, trainings=(3, 1)))
    assert (result.trainings, result.asked) == (2, 3)
    assert result.rows == int((_divided(3).part < 2).sum())
    assert not result.is_complete
