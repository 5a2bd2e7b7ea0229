"""After a training: how far the weights go, and what the test rows say."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lab import split_pictures
from shop import BACKBONE

from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.load import build_architecture
from embedcache.errors import UsageError
from embedcache.finetuning.classifier import Classifier
from embedcache.finetuning.interpolation import Point, Sweep, move_to
from embedcache.heads.judged import JudgedRows
from embedcache.heads.logreg import softmax
from embedcache.heads.rows import RunRows
from embedcache.workflows import finetune as workflow
from embedcache.workflows.extract import extract_source
from embedcache.workflows.finetune import Finetuned, finetune
from embedcache.workflows.finetune_options import FinetuneOptions
from embedcache.workflows.fit import fit_head
from embedcache.workflows.tuning import Tuned
from embedcache.workflows.tuning_gate import answer, images_at
from embedcache.workflows.tuning_material import Material

QUICK = FinetuneOptions(unfreeze="last-1", steps=4, batch_size=8, workers=0, precision="float32")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red and green pictures, 12 to train on and 16 to test on, cached and fitted."""
    folder = tmp_path_factory.mktemp("gate")
    split_pictures(folder / "photos", train=6, test=8)
    extract_source(folder / "photos", **BACKBONE, cache_dir=folder / "cache")
    fit_head(cache_dir=folder / "cache", runs_dir=folder / "runs", values=(0.01,))
    return folder


@pytest.fixture
def place(original: Path, tmp_path: Path) -> Path:
    """A copy of cache and run; the pictures are those of `original`."""
    for name in ("cache", "runs"):
        shutil.copytree(original / name, tmp_path / name)
    return tmp_path


def tune(place: Path, options: FinetuneOptions = QUICK, **more: object) -> Finetuned:
    more = {"cache_dir": place / "cache", "runs_dir": place / "runs", "force": True, **more}
    return finetune(None, options, **more)


def choose(monkeypatch: pytest.MonkeyPatch, alpha: float) -> None:
    """As if the validation rows had chosen this share of the way."""
    points = (Point(0.0, 0.5, 0.8, 0.0, 0.1), Point(1.0, 0.5, 0.8, 0.0, 0.1))
    found = Sweep(points, alpha, 0.0)
    monkeypatch.setattr(workflow, "go_back", lambda *_: found)


def be_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the run's own head had no test row right."""
    load = JudgedRows.load

    def wrong(folder: Path) -> JudgedRows:
        judged = load(folder)
        return replace(judged, hit=np.zeros_like(judged.hit))

    monkeypatch.setattr(JudgedRows, "load", wrong)


def gates(place: Path) -> list[str]:
    openings = json.loads((place / "runs" / "ledger.json").read_bytes())["openings"]
    return [name for names in openings.values() for name in names if name.startswith("gate")]


def test_the_validation_rows_choose_a_share(place: Path) -> None:
    """All tenths are judged; the ends answer as before the first step and after the last."""
    record = tune(place).record
    assert record.sweep is not None
    assert len(record.sweep.points) == 11
    assert record.sweep.points[0].accuracy == record.progress.judged[0].accuracy
    assert record.sweep.points[-1].accuracy == record.progress.judged[-1].accuracy
    assert (record.gate is None) == (record.sweep.alpha == 0)


def test_no_better_is_not_shipped(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tuned model that is as right as the head stays out; both are measured on all test rows."""
    choose(monkeypatch, 1.0)
    gate = tune(place).record.gate
    assert gate is not None
    assert (gate.number, gate.rows, gate.gained, gate.ships) == (1, 16, 0, False)
    (run,) = (place / "runs").glob("*-logreg-1")
    assert gate.accuracy_before == JudgedRows.load(run).hit.mean()


def test_better_passes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the head has nothing right and the tuned model nearly all, it passes."""
    choose(monkeypatch, 1.0)
    be_wrong(monkeypatch)
    gate = tune(place).record.gate
    assert gate is not None
    assert gate.ships
    assert gate.gained >= 12
    assert gate.interval.low > 0


def test_nothing_chosen_leaves_the_test_rows_unread(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a share of 0 there is no gate, and the ledger knows of none."""
    choose(monkeypatch, 0.0)
    monkeypatch.setattr(workflow, "open_gate", lambda *_: pytest.fail("it was opened"))
    assert tune(place).record.gate is None
    assert gates(place) == []


@pytest.mark.parametrize("unfreeze", ["last-1", "tail"])
def test_no_way_at_all_is_the_frozen_model_exactly(
    place: Path, monkeypatch: pytest.MonkeyPatch, unfreeze: str
) -> None:
    """A share of 0 answers as before the training, bit by bit, and as the head does from cache."""
    compared: list[float] = []

    def nowhere(material: Material, tuned: Tuned) -> Sweep:
        ends = tuned.trained.initial, tuned.trained.final
        assert any((ends[0][name] != value).any() for name, value in ends[1].items())
        move_to(material.classifier, *ends, 0.0)
        cache, head = material.features, material.start.head
        tower = build_architecture(BackboneRequest.from_json(cache.meta.request)).module
        fresh = Classifier(tower, material.train.preprocessing, head).eval()
        images = images_at(cache, np.arange(len(cache)), None)
        stored = cache.identity.stored_dtype
        found = answer(material, stored, images, 0)
        assert (found == answer(replace(material, classifier=fresh), stored, images, 0)).all()
        cached = softmax(head.logits(cache.X.astype(np.float64)))
        assert (found.argmax(axis=1) == cached.argmax(axis=1)).all()
        compared.append(float(np.abs(found - cached).max()))
        return Sweep((), 0.0, 0.0)

    monkeypatch.setattr(workflow, "go_back", nowhere)
    tune(place, replace(QUICK, unfreeze=unfreeze))
    assert compared[0] < 1e-4


def test_each_change_is_another_gate(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another training has to prove more; the same one again is the same gate."""
    choose(monkeypatch, 1.0)
    notes: list[str] = []
    numbers = []
    for options in (QUICK, replace(QUICK, seed=1), QUICK):
        gate = tune(place, options, overwrite=True, notify=notes.append).record.gate
        assert gate is not None
        numbers.append((gate.number, round(gate.level, 4)))
    assert numbers == [(1, 0.025), (2, 0.0083), (1, 0.025)]
    assert len(gates(place)) == 2
    assert [note[:22] for note in notes if note.startswith("gate")] == [
        "gate 1 on 16 test rows",
        "gate 2 on 16 test rows",
        "gate 1 on 16 test rows",
    ]


def test_without_test_rows_there_is_no_gate(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a run whose rows are all for training nothing can pass, and it says so first."""
    choose(monkeypatch, 1.0)
    (run,) = (place / "runs").glob("*-logreg-1")
    known = RunRows.load(run)
    RunRows(known.digest, known.label, np.where(known.side == 2, 0, known.side).astype("u1")).save(
        run
    )
    notes: list[str] = []
    assert tune(place, notify=notes.append).record.gate is None
    assert any("no test rows" in note for note in notes)


def test_missing_test_images_are_found_out_first(place: Path, original: Path) -> None:
    """Before the training, not hours later."""
    moved = place / "moved"
    shutil.copytree(original / "photos" / "train", moved / "train")
    with pytest.raises(UsageError, match="16 of 16 images are not there"):
        tune(place, replace(QUICK, source=moved))
