"""Controls: data of which the right verdict is known."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from problems import blobs, cycle, problem

from embedcache.decision.pilot_result import PilotResult, PilotTask
from embedcache.decision.record import Decision
from embedcache.errors import CacheInvalidError, EmbedcacheError, StorageError, UsageError

Decide = Callable[..., Decision]

LABELS = cycle(3, 300)


def _found(task: PilotTask, tuned: Callable[[np.ndarray], np.ndarray]) -> PilotResult:
    """By as many trainings as are wanted, from what the frozen head has right."""
    division = task.divide(task.trainings[0])
    which = division.validated
    return PilotResult.of(
        division.frozen[which],
        tuned(division.frozen)[which],
        task.group[which],
        trainings=division.trainings,
        asked=task.enough,
        minutes=1.0,
        boundary="blocks.5",
        share=0.6,
        views=1,
        steps=9,
        wanted=9,
        whole=40.0,
    )


def _wonderful(task: PilotTask) -> PilotResult:
    """A pilot that cures every error."""
    return _found(task, np.ones_like)


def _useless(task: PilotTask) -> PilotResult:
    """A pilot that changes nothing."""
    return _found(task, lambda frozen: frozen)


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_labels_never_escalate(decide: Decide, seed: int) -> None:
    """Not even by a pilot that would cure every error: the labels come first."""
    shuffled = np.random.default_rng(seed).permutation(LABELS)
    found = decide(problem(shuffled, features=blobs(LABELS)), pilot=_wonderful)
    assert found.verdict == "FIX_DATA"
    assert found.pilot is None


def test_injected_noise_asks_for_better_labels(decide: Decide) -> None:
    """A fifth of the labels is wrong, and the rows in doubt are those."""
    rng = np.random.default_rng(0)
    wrong = rng.random(len(LABELS)) < 0.2
    noisy = np.where(wrong, (LABELS + rng.integers(1, 3, len(LABELS))) % 3, LABELS)
    features = blobs(LABELS, spread=0.7)
    found = decide(problem(noisy, features=features))
    assert found.verdict == "FIX_DATA"
    assert 0.15 < found.signals.doubtful_share < 0.25
    listed = [doubt.row for doubt in found.signals.doubts]
    assert wrong[listed].mean() > 0.9
    assert decide(problem(LABELS, features=features)).verdict != "FIX_DATA"


def test_a_leaked_label_meets_the_target_and_is_flagged(decide: Decide) -> None:
    """One feature is the label."""
    features = blobs(LABELS, spread=3.0)
    features[:, 5] = 10 * LABELS
    found = decide(problem(LABELS, features=features), target=0.95)
    assert found.verdict == "TARGET_MET"
    assert "feature 5 alone tells" in found.warnings[0]


def test_honest_features_are_not_flagged(decide: Decide) -> None:
    """No single one gives a class away."""
    found = decide(problem(LABELS, features=blobs(LABELS, spread=1.3)), target=0.2)
    assert found.verdict == "TARGET_MET"
    assert not found.warnings


@pytest.mark.parametrize("spread", [0.2, 1.5, 2.0])
def test_forty_rows_are_inconclusive(decide: Decide, spread: float) -> None:
    """Whatever their error; it says how many rows would do."""
    labels = cycle(2, 40)
    found = decide(problem(labels, features=blobs(labels, spread=spread)), pilot=_wonderful)
    assert found.verdict == "INCONCLUSIVE"
    assert found.signals.rows_needed is not None
    assert found.signals.rows_needed > 40
    assert f"{found.signals.rows_needed:,}" in found.evidence


def test_a_grid_that_ends_too_early_asks_to_tune_the_head(decide: Decide) -> None:
    """The same data with the whole grid do not."""
    rows = problem(LABELS, features=blobs(LABELS, spread=0.8))
    found = decide(rows, values=(1e-7, 1e-6))
    assert found.verdict == "TUNE_HEAD"
    assert "end of its grid" in found.evidence
    assert decide(rows).verdict != "TUNE_HEAD"


def test_an_easy_set_stays_frozen_without_a_target(decide: Decide) -> None:
    """No pilot runs: there is next to nothing to gain."""
    found = decide(problem(LABELS, features=blobs(LABELS, spread=0.3)), pilot=_wonderful)
    assert found.verdict == "STAY_FROZEN"
    assert found.pilot is None


@pytest.fixture
def hard() -> tuple[np.ndarray, np.ndarray]:
    """Rows with errors that are neither noise nor too few."""
    labels = cycle(3, 600)
    return labels, blobs(labels, spread=1.4)


def test_a_pilot_decides_the_rest(decide: Decide, hard: tuple[np.ndarray, np.ndarray]) -> None:
    """Without one, it would tell; a good one escalates, a useless one does not."""
    rows = problem(hard[0], features=hard[1])
    assert decide(rows).verdict == "PILOT_NEEDED"
    good = decide(rows, pilot=_wonderful)
    assert good.verdict == "ESCALATE"
    assert good.pilot is not None
    assert good.pilot.rows == good.signals.rows
    assert good.command == "embedcache finetune cache/pets.h5"
    useless = decide(rows, pilot=_useless)
    assert useless.verdict == "STAY_FROZEN"
    assert "missed no more than" in useless.evidence


def test_a_fifth_of_many_rows_validates(decide: Decide) -> None:
    """Beyond 1,000 rows, where it shows enough of the error."""
    labels = cycle(3, 1_200)
    found = decide(problem(labels, features=blobs(labels, spread=1.4)), pilot=_wonderful)
    assert found.pilot is not None
    assert found.pilot.rows == found.signals.validation_rows == 240


def test_a_pilot_that_was_cut_short_names_the_budget_that_it_needs(
    decide: Decide, hard: tuple[np.ndarray, np.ndarray]
) -> None:
    """The same command again would be cut short again: 9 of 4 times the minutes that it had."""

    def cut_short(task: PilotTask) -> PilotResult:
        return replace(_useless(task), steps=4)  # of 9

    found = decide(problem(hard[0], features=hard[1]), pilot=cut_short)
    assert found.verdict == "PILOT_NEEDED"
    minutes = math.ceil(found.limits.budget * 9 / 4)
    assert found.command == f"embedcache decide cache/pets.h5 --budget {minutes}"
    assert found.evidence.endswith("raise --budget")


def test_a_training_that_costs_no_more_than_a_pilot_is_named_instead(
    decide: Decide, hard: tuple[np.ndarray, np.ndarray]
) -> None:
    """On little data a pilot that could tell takes as long as what it would tell about."""

    def cut_short(task: PilotTask) -> PilotResult:
        return replace(_useless(task), steps=4, whole=2.0)

    found = decide(problem(hard[0], features=hard[1]), pilot=cut_short)
    assert found.verdict == "PILOT_NEEDED"
    assert found.command == "embedcache finetune cache/pets.h5 --unfreeze all --force"
    assert "all blocks train in about 2 min" in found.evidence


@pytest.mark.parametrize(
    "error",
    [
        UsageError("3 of 9 images are not there", got="no cat.png"),
        CacheInvalidError("an image has changed", got="no cat.png"),
    ],
)
def test_a_pilot_that_cannot_run_leaves_a_verdict(
    decide: Decide, hard: tuple[np.ndarray, np.ndarray], error: EmbedcacheError
) -> None:
    """That it is needed, why there is none, and no fine-tuning without evidence."""
    labels, features = hard

    def fails(_task: PilotTask) -> PilotResult:
        raise error

    found = decide(problem(labels, features=features), pilot=fails)
    assert found.verdict == "PILOT_NEEDED"
    assert f"{error.what} (got no cat.png)" in found.evidence
    assert found.command.startswith("embedcache decide ")


def test_a_full_disk_is_no_verdict(decide: Decide, hard: tuple[np.ndarray, np.ndarray]) -> None:
    """What the pilot cannot help is not explained away."""
    labels, features = hard

    def fails(_task: PilotTask) -> PilotResult:
        raise StorageError("no space left")

    with pytest.raises(StorageError):
        decide(problem(labels, features=features), pilot=fails)


@pytest.mark.parametrize("pilot", [None, _wonderful])
def test_test_rows_are_never_read(
    decide: Decide, hard: tuple[np.ndarray, np.ndarray], pilot: object
) -> None:
    """Poisoned features and labels there change not one byte of the decision."""
    labels, features = hard
    split = np.where(np.arange(len(labels)) % 4 == 0, 3, 1).astype(np.uint8)
    clean = decide(problem(labels, features=features, split=split), pilot=pilot)
    poisoned, scrambled = features.copy(), labels.copy()
    poisoned[split == 3] = np.nan
    scrambled[split == 3] = np.random.default_rng(1).integers(0, 3, (split == 3).sum())
    assert clean.signals.aside == (split == 3).sum()
    found = decide(problem(scrambled, features=poisoned, split=split), pilot=pilot)
    assert found == clean
