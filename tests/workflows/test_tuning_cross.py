"""A gate without test rows: three trainings, each judged on the third that it has not seen."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lab import GREEN, RED, paint
from safetensors.torch import load_file
from shop import BACKBONE

from embedcache.errors import UsageError
from embedcache.evaluation.splits import SIDE_FOLD
from embedcache.finetuning.interpolation import Point, Sweep
from embedcache.heads.judged import JudgedRows
from embedcache.heads.rows import RunRows
from embedcache.store.cache import FeatureCache
from embedcache.workflows import finetune as workflow
from embedcache.workflows import tuning_course, tuning_cross
from embedcache.workflows.extract import extract_source
from embedcache.workflows.finetune import Finetuned, finetune
from embedcache.workflows.finetune_options import FinetuneOptions
from embedcache.workflows.fit import fit_head
from embedcache.workflows.tuning import Tuning
from embedcache.workflows.tuning_material import Material, rows_seen

QUICK = FinetuneOptions(
    unfreeze="last-1", lr=3e-3, steps=3, batch_size=8, workers=0, precision="float32"
)
ROWS = 36


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red and green pictures without a split, cached and fitted: all rows are training rows."""
    folder = tmp_path_factory.mktemp("crossed")
    for index in range(ROWS // 2):
        paint(folder / "photos" / "red" / f"{index}.png", RED, index)
        paint(folder / "photos" / "green" / f"{index}.png", GREEN, 500 + index)
    extract_source(folder / "photos", **BACKBONE, cache_dir=folder / "cache")
    fit_head(cache_dir=folder / "cache", runs_dir=folder / "runs", values=(0.01,))
    return folder


@pytest.fixture
def place(original: Path, tmp_path: Path) -> Path:
    """A copy of cache and run; the pictures are those of `original`."""
    for name in ("cache", "runs"):
        shutil.copytree(original / name, tmp_path / name)
    for config in (tmp_path / "runs").glob("*/config.json"):
        text = config.read_text()
        config.write_text(text.replace(str(original / "cache"), str(tmp_path / "cache")))
    return tmp_path


def tune(place: Path, options: FinetuneOptions = QUICK, **more: object) -> Finetuned:
    more = {"cross_fit": True, "force": True, **more}
    return finetune(None, options, cache_dir=place / "cache", runs_dir=place / "runs", **more)


@pytest.fixture
def going_all_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the validation rows had chosen the tuned weights each time."""
    points = (Point(0.0, 0.5, 0.8, 0.0, 0.1), Point(1.0, 0.5, 0.8, 0.0, 0.1))
    for module in (workflow, tuning_cross):
        monkeypatch.setattr(module, "go_back", lambda *_: Sweep(points, 1.0, 0.0))


@pytest.fixture
def a_poor_frozen_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the frozen head knew nothing."""
    monkeypatch.setattr(
        tuning_cross.CrossFit,
        "_frozen",
        lambda self, _rest, held_out: np.eye(2)[1 - self._tuning.labels[held_out]],
    )


def test_each_training_answers_what_it_has_not_seen(
    place: Path, monkeypatch: pytest.MonkeyPatch, going_all_the_way: None, a_poor_frozen_head: None
) -> None:
    """All rows are judged once, none by a training that had it; what ships is one on all rows."""
    seen: list[set[bytes]] = []
    answered: list[set[bytes]] = []
    answer = tuning_cross.answer

    def watched(material: Material, stored: str, images: object, workers: int) -> np.ndarray:
        seen.append({each.tobytes() for each in rows_seen(material).digest})
        answered.append({each.tobytes() for each in images.digests})
        return answer(material, stored, images, workers)

    monkeypatch.setattr(tuning_cross, "answer", watched)
    done = tune(place)
    assert [len(each) for each in answered] == [12, 12, 12]
    assert all(not mine & theirs for mine, theirs in zip(seen, answered, strict=True))
    assert len(set.union(*answered)) == ROWS
    record = done.record
    assert record.gate is not None
    assert record.gate.ships
    assert (record.gate.rows, record.gate.accuracy_before) == (ROWS, 0)
    assert [third.rows for third in record.thirds] == [12, 12, 12]
    assert sum(third.gained for third in record.thirds) == record.gate.gained
    assert len(load_file(done.path / "tuned-rows.safetensors")["digest"]) == ROWS
    assert record.minutes > record.progress.seconds / 60


def test_the_run_keeps_the_crossed_answers(
    place: Path, going_all_the_way: None, a_poor_frozen_head: None
) -> None:
    """`compare` joins them, each by a training without that row; its cache has no row left."""
    done = tune(place)
    judged, rows = JudgedRows.load(done.path), RunRows.load(done.path)
    assert len(judged.digest) == ROWS
    assert judged.hit.mean() == done.record.gate.accuracy_after
    assert set(rows.side) == {SIDE_FOLD, SIDE_FOLD + 1, SIDE_FOLD + 2}
    assert FeatureCache(done.cache).seen.all()
    with pytest.raises(UsageError, match="has seen these images"):
        fit_head(done.cache, runs_dir=place / "runs", values=(0.01,))


def test_no_better_stays_frozen(place: Path, going_all_the_way: None) -> None:
    """Against a head that has all rows right, fitted to the same two thirds, nothing passes."""
    done = tune(place)
    gate = done.record.gate
    assert gate is not None
    assert (gate.ships, gate.gained, gate.accuracy_before) == (False, 0, 1.0)
    assert not (done.path / "head.json").exists()


def test_a_third_that_stays_frozen_changes_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where validation rows go back to the frozen weights, the answers are the frozen head's."""
    monkeypatch.setattr(workflow, "go_back", lambda *_: Sweep((), 1.0, 0.0))
    monkeypatch.setattr(tuning_cross, "go_back", lambda *_: Sweep((), 0.0, 0.0))
    monkeypatch.setattr(tuning_cross, "answer", lambda *_: pytest.fail("it was asked"))
    record = tune(place).record
    assert [third.alpha for third in record.thirds] == [0, 0, 0]
    assert (record.gate.gained, record.gate.lost, record.gate.ships) == (0, 0, False)


class _Killed(BaseException):
    pass


def test_killed_between_two_trainings(
    place: Path, monkeypatch: pytest.MonkeyPatch, going_all_the_way: None
) -> None:
    """What is answered is not trained for again, and it is the same gate."""
    options = replace(QUICK, checkpoint_minutes=0.0)
    trained: list[str] = []
    run = Tuning.run

    def counted(self: Tuning) -> object:
        trained.append(self._work.name)
        if len(trained) == 3:
            raise _Killed
        return run(self)

    monkeypatch.setattr(Tuning, "run", counted)
    with pytest.raises(_Killed):
        tune(place, options)
    done = tune(place, options)
    assert [name for name in trained if name.startswith("third")] == [
        "third-0",
        "third-1",
        "third-1",
        "third-2",
    ]
    assert done.record.gate.number == 1
    openings = json.loads((place / "runs" / "ledger.json").read_bytes())["openings"]
    assert sum(name.startswith("gate") for names in openings.values() for name in names) == 1
    assert not list((place / "runs").glob(".*.work"))


def test_it_is_offered_where_the_gate_sees_little(place: Path) -> None:
    """Without test rows there is no other way to a verdict; its power is said, too."""
    notes: list[str] = []
    done = tune(place, cross_fit=False, notify=notes.append)
    assert done.record.gate is None
    (offered,) = (note for note in notes if note.startswith("--cross-fit"))
    assert f"judges on {ROWS} training rows" in offered
    notes.clear()
    again = tune(place, notify=notes.append)
    assert again.path != done.path
    assert any(f"gate 1 on {ROWS} cross-fitted training rows" in note for note in notes)
    assert not any(note.startswith("--cross-fit") for note in notes)


def test_the_boundary_is_settled_once(
    place: Path, monkeypatch: pytest.MonkeyPatch, going_all_the_way: None
) -> None:
    """All trainings begin at the same block, though each would find another one by its timing."""
    options = replace(QUICK, unfreeze="tail", boundary="auto")
    offered = iter(["blocks.6.0", "blocks.5.1", "blocks.5.2", "blocks.5.3"])
    known = tuning_course.tails

    def other(splits: object) -> object:
        wanted = next(offered)
        return tuple(split for split in known(splits) or () if split.boundary == wanted) or tuple(
            split for split in splits if split.boundary == wanted
        )

    monkeypatch.setattr(tuning_course, "tails", other)
    asked: list[tuple[str, int | None, float | None]] = []
    gathered = tuning_cross.gather

    def noted(tuning: object, options: FinetuneOptions) -> Material:
        asked.append((options.boundary, options.views, options.budget))
        return gathered(tuning, options)

    monkeypatch.setattr(tuning_cross, "gather", noted)
    record = tune(place, options).record
    assert record.plan.tail is not None
    assert record.plan.tail.boundary == "blocks.6.0"
    assert asked == [("blocks.6.0", 1, None)] * 3
    assert next(offered) == "blocks.5.1"


def test_thirds_are_no_longer_than_the_training_that_was_shortened(
    place: Path, monkeypatch: pytest.MonkeyPatch, going_all_the_way: None
) -> None:
    """A third has no budget of its own, which it might miss after all the others."""
    steps: list[int] = []
    trained = Tuning.run

    def noted(self: Tuning) -> object:
        found = trained(self)
        steps.append(found.recipe.steps)
        return found

    monkeypatch.setattr(Tuning, "run", noted)
    monkeypatch.setattr("embedcache.finetuning.recipe.MIN_STEPS", 5)
    monkeypatch.setattr(
        "embedcache.workflows.tuning.fit_into",
        lambda _b, recipe, _c: replace(recipe, steps=min(recipe.steps, 4)),
    )
    tune(place, replace(QUICK, steps=None, budget=40.0))
    assert steps == [4, 4, 4, 4]
