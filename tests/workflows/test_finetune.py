"""Fine-tuning a run's backbone: what it reads, what it refuses, and what it leaves."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lab import RED, paint, split_pictures
from safetensors.torch import load_file
from shop import BACKBONE

from embedcache.errors import CacheInvalidError, DriftError, UnfittableError, UsageError
from embedcache.finetuning import training
from embedcache.finetuning.curve import Progress
from embedcache.heads.rows import RunRows
from embedcache.store.cache import FeatureCache
from embedcache.workflows import finetune as workflow
from embedcache.workflows.extract import extract_source
from embedcache.workflows.finetune import Finetuned, finetune
from embedcache.workflows.finetune_options import FinetuneOptions
from embedcache.workflows.fit import fit_head

QUICK = FinetuneOptions(unfreeze="last-1", steps=4, batch_size=8, workers=0, precision="float32")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red and green pictures under train/ and test/, cached by a real backbone and fitted."""
    folder = tmp_path_factory.mktemp("tuning")
    split_pictures(folder / "photos", train=9, test=4)
    extract_source(folder / "photos", **BACKBONE, cache_dir=folder / "cache")
    fit_head(cache_dir=folder / "cache", runs_dir=folder / "runs", values=(0.01,))
    return folder


@pytest.fixture
def place(original: Path, tmp_path: Path) -> Path:
    """A copy of cache and run; the pictures are those of `original`."""
    for name in ("cache", "runs"):
        shutil.copytree(original / name, tmp_path / name)
    return tmp_path


def tune(
    place: Path, options: FinetuneOptions = QUICK, what: str | None = None, **more: object
) -> Finetuned:
    more = {"force": True, **more}
    return finetune(what, options, cache_dir=place / "cache", runs_dir=place / "runs", **more)


def test_it_leaves_weights_curves_and_rows(place: Path) -> None:
    """The folder appears whole, says how it was trained, and no state is left behind."""
    done = tune(place)
    assert sorted(path.name for path in done.path.iterdir()) == [
        "config.json",
        "finetune.html",
        "finetune.json",
        "gate-rows.safetensors",
        "tuned-rows.safetensors",
        "tuned.safetensors",
    ]
    assert not list((place / "runs").glob(".*.work"))
    record = json.loads((done.path / "finetune.json").read_bytes())
    assert record["recipe"]["learning_rate"] == 3e-4
    assert [each["step"] for each in record["progress"]["judged"]] == [0, 1, 2, 3, 4]
    assert record["train_rows"] + record["validation_rows"] == 18
    assert 0 <= record["plan"]["parity"] < 0.02
    weights = load_file(done.path / "tuned.safetensors")
    assert {name.partition(".")[0] for name in weights} == {"tower", "head"}


def test_frozen_blocks_are_those_of_the_backbone(place: Path) -> None:
    """Of the weights on disk, only the last block and the head differ from the published ones."""
    from embedcache.backbones.base import BackboneRequest
    from embedcache.backbones.load import build_architecture

    weights = load_file(tune(place).path / "tuned.safetensors")
    before = build_architecture(BackboneRequest("bundled/efficientnet_lite0")).module.state_dict()
    moved = {
        name for name, value in before.items() if not torch.equal(weights[f"tower.{name}"], value)
    }
    assert moved
    assert all(name.startswith(("blocks.6", "conv_head", "bn2")) for name in moved)
    assert not any("running" in name for name in moved)


def test_the_test_rows_are_never_read(
    place: Path, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the gate: their images are garbage, their features forbidden, and it is the same."""
    opened: list[str] = []
    monkeypatch.setattr(workflow, "open_gate", lambda *_: opened.append("gate"))
    expected = load_file(tune(place).path / "tuned.safetensors")
    (run,) = (place / "runs").glob("*-logreg-1")
    known = RunRows.load(run)
    test = {digest.tobytes() for digest in known.digest[known.side == 2]}
    assert len(test) == 8
    read = FeatureCache.rows

    def guarded(self: FeatureCache, rows: np.ndarray) -> np.ndarray:
        assert not test & {self.sha256[row].tobytes() for row in rows}
        return read(self, rows)

    monkeypatch.setattr(FeatureCache, "rows", guarded)
    monkeypatch.delattr(FeatureCache, "X")
    moved = place / "moved"
    shutil.copytree(original / "photos", moved)
    for path in (moved / "test").rglob("*.png"):
        path.write_bytes(b"poison")
    done = tune(place, replace(QUICK, source=moved), overwrite=True)
    found = load_file(done.path / "tuned.safetensors")
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_labels_come_from_the_run(place: Path, original: Path) -> None:
    """Moved images are found by their bytes, whatever folder they lie in now."""
    moved = place / "moved" / "all in one"
    moved.mkdir(parents=True)
    for number, path in enumerate(sorted((original / "photos").rglob("*.png"))):
        shutil.copy(path, moved / f"{number}.png")
    options = replace(QUICK, source=place / "moved")
    one, other = tune(place, options), tune(place, overwrite=True)
    first, second = (load_file(each.path / "tuned.safetensors") for each in (one, other))
    assert all(torch.equal(first[name], value) for name, value in second.items())


class _Killed(BaseException):
    pass


def test_the_same_call_goes_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped half-way it resumes, to the same bits; once done it is not trained again."""
    options = replace(QUICK, checkpoint_minutes=0.0, augment="light", lr_auto=True, steps=8)
    whole = tune(place, options)
    for last in (1, 3, 6):
        taken: list[int] = []

        def die(step: int, _total: int, taken: list[int] = taken, last: int = last) -> None:
            taken.append(step)
            if len(taken) == last:
                raise _Killed

        with pytest.raises(_Killed):
            tune(place, options, on_step=die, overwrite=True)
    notes: list[str] = []
    steps: list[int] = []
    again = tune(
        place,
        options,
        overwrite=True,
        notify=notes.append,
        on_step=lambda step, _: steps.append(step),
    )
    assert "going on with an unfinished training" in notes
    assert steps[-1] == 8
    assert len(steps) < 8 + 3 * 2
    first, second = (load_file(each.path / "tuned.safetensors") for each in (whole, again))
    assert all(torch.equal(first[name], value) for name, value in second.items())
    assert len(again.record.trials) == 3
    finished = tune(place, options, on_step=lambda *_: pytest.fail("trained again"))
    assert finished.path in (whole.path, again.path)


def test_images_that_are_gone(place: Path) -> None:
    """The first missing image is named, and what to do."""
    options = replace(QUICK, source=place / "empty")
    paint(place / "empty" / "other.png", RED, 1000)
    with pytest.raises(UsageError, match="18 of 18 images"):
        tune(place, options)


def test_images_with_other_bytes(place: Path, original: Path) -> None:
    """Each image is checked against its digest whenever it is read."""
    moved = place / "moved"
    shutil.copytree(original / "photos", moved)
    for path in (moved / "train" / "red").iterdir():
        path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(CacheInvalidError, match="not what was embedded"):
        tune(place, replace(QUICK, source=moved))


def test_a_class_without_rows(place: Path, original: Path) -> None:
    """A run whose class has left the cache cannot be fine-tuned."""
    (run,) = (place / "runs").glob("*-logreg-1")
    known = RunRows.load(run)
    gone = np.asarray(known.digest).copy()
    gone[known.label == 1] ^= 255
    RunRows(gone, known.label, known.side).save(run)
    with pytest.raises(UnfittableError, match="red"):
        tune(place)


def test_a_budget_that_is_too_small(place: Path) -> None:
    """It is refused before the first step, with what would do."""
    with pytest.raises(UsageError, match="500 steps"):
        tune(place, replace(QUICK, steps=None, budget=0.001))


def test_a_wrong_cache_does_not_start(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features that the images do not lead to stop it before the first step."""
    read = FeatureCache.rows
    monkeypatch.setattr(FeatureCache, "rows", lambda self, rows: read(self, rows)[:, ::-1].copy())
    monkeypatch.setattr(training, "_Run", lambda *_: pytest.fail("it started"))
    with pytest.raises(DriftError, match="cached logits"):
        tune(place)


def test_the_run_may_be_of_another_model(place: Path) -> None:
    """A head of neighbours leads to a logistic regression with a C of its own."""
    run = fit_head(cache_dir=place / "cache", runs_dir=place / "runs", model="knn", values=(3.0,))
    record = tune(place, what=run.path.name).record
    assert record.run == run.path.name
    assert record.c > 0


def test_a_cache_without_a_run_gets_one(place: Path) -> None:
    """The head is fitted first."""
    shutil.rmtree(place / "runs")
    assert tune(place).record.run.endswith("-logreg-1")


def test_several_backbones_are_refused(place: Path, original: Path) -> None:
    """One backbone can be trained, not two side by side."""
    other = extract_source(
        original / "photos",
        "bundled/efficientnet_lite0",
        image_size=40,
        cache_dir=place / "cache",
    ).cache
    (first,) = (path for path in (place / "cache").glob("*/*.h5") if path != other)
    run = fit_head([first, other], runs_dir=place / "runs", values=(0.01,))
    with pytest.raises(UsageError, match="not several"):
        tune(place, what=run.path.name)


@pytest.mark.parametrize(
    "changes", [{"augment": "wild"}, {"lr": 0.0}, {"budget": -1.0}, {"precision": "float8"}]
)
def test_impossible_options(changes: dict[str, object]) -> None:
    """They are refused when they are written down."""
    with pytest.raises(UsageError):
        FinetuneOptions(**changes)


def test_progress_is_told(place: Path) -> None:
    """Each step, of how many."""
    told: list[tuple[int, int]] = []
    done = tune(place, on_step=lambda step, total: told.append((step, total)))
    assert told == [(step, 4) for step in range(1, 5)]
    assert isinstance(done.record.progress, Progress)


def test_the_verdict_comes_first(place: Path) -> None:
    """Without ESCALATE it says what `decide` found, and trains nothing."""
    with pytest.raises(UsageError, match="--force") as stopped:
        tune(place, force=False)
    assert stopped.value.expected == "ESCALATE"
    assert not list((place / "runs").glob("*finetune*"))
    with pytest.raises(UsageError, match="--force"):
        tune(place, force=False)
    assert len(list((place / "runs").glob("*-decide-*"))) == 1
