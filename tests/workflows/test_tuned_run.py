"""A fine-tuning that passed its gate: a run like any other, and a backbone with its own name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lab import split_pictures
from safetensors.torch import load_file
from shop import BACKBONE

from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.load import build_architecture
from embedcache.backbones.tuned_folder import seen_by
from embedcache.errors import CacheInvalidError, IdentityMismatchError, UsageError
from embedcache.evaluation.splits import SIDE_FOLD, SIDE_TEST, SIDE_TRAIN
from embedcache.finetuning import training
from embedcache.finetuning.gate_rows import GateRows
from embedcache.finetuning.interpolation import Point, Sweep
from embedcache.heads.judged import JudgedRows
from embedcache.heads.predictions import Predictions
from embedcache.heads.rows import RunRows
from embedcache.records.seen import TRAINED, UNSEEN, VALIDATED
from embedcache.runs import folder as run_folder
from embedcache.runs.folder import list_runs
from embedcache.store.cache import FeatureCache
from embedcache.workflows import finetune as workflow
from embedcache.workflows.compare import compare
from embedcache.workflows.extract import extract_source
from embedcache.workflows.finetune import Finetuned, finetune
from embedcache.workflows.finetune_options import FinetuneOptions
from embedcache.workflows.fit import fit_head, load_head
from embedcache.workflows.inventory import caches, runs
from embedcache.workflows.predict import Predictor

QUICK = FinetuneOptions(
    unfreeze="last-1", lr=3e-3, steps=4, batch_size=8, workers=0, precision="float32"
)


@pytest.fixture(scope="module")
def letting_pass() -> Iterator[None]:
    """The gate lets every training pass: the run's own head is as if it had nothing right."""
    load = JudgedRows.load
    points = (Point(0.0, 0.5, 0.8, 0.0, 0.1), Point(1.0, 0.5, 0.8, 0.0, 0.1))

    def wrong(folder: Path) -> JudgedRows:
        judged = load(folder)
        return replace(judged, hit=np.zeros_like(judged.hit))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("embedcache.workflows.tuning_gate.JudgedRows.load", wrong)
        patch.setattr(workflow, "go_back", lambda *_: Sweep(points, 1.0, 0.0))
        yield


def tune(place: Path, options: FinetuneOptions = QUICK, **more: object) -> Finetuned:
    more = {"cache_dir": place / "cache", "runs_dir": place / "runs", "force": True, **more}
    return finetune(None, options, **more)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, letting_pass: None) -> Path:
    """Red and green pictures, cached, fitted, and fine-tuned with success."""
    folder = tmp_path_factory.mktemp("shipped")
    split_pictures(folder / "photos", train=6, test=8)
    extract_source(folder / "photos", **BACKBONE, cache_dir=folder / "cache")
    fit_head(cache_dir=folder / "cache", runs_dir=folder / "runs", values=(0.01,))
    assert tune(folder).record.gate.ships
    return folder


@pytest.fixture
def place(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of caches and runs; the pictures are those of `original`."""
    for name in ("cache", "runs"):
        shutil.copytree(original / name, tmp_path / name)
    for config in (tmp_path / "runs").glob("*/config.json"):
        text = config.read_text()
        config.write_text(text.replace(str(original / "cache"), str(tmp_path / "cache")))
    monkeypatch.setenv("EMBEDCACHE_RUNS_DIR", str(tmp_path / "runs"))
    return tmp_path


def shipped(place: Path) -> Path:
    (path,) = (place / "runs").glob("*-finetune-1")
    return path


def test_it_is_a_run(place: Path) -> None:
    """It has what a run has, is listed as sound, and its head loads."""
    run = shipped(place)
    assert sorted(path.name for path in run.iterdir()) == [
        "backbone",
        "config.json",
        "finetune.html",
        "finetune.json",
        "gate-rows.safetensors",
        "head.json",
        "head.safetensors",
        "predictions.safetensors",
        "rows.safetensors",
        "tuned-rows.safetensors",
    ]
    head = load_head(run.name, place / "runs")
    assert (head.model, head.backbone) == ("finetune", f"tuned:{run.name}")
    listed = {each.path: each.state for each in runs(place / "runs", caches(place / "cache"))}
    assert listed[run] == "ok"


def test_its_features_are_cached(place: Path) -> None:
    """Of all rows of the run's cache, by itself; and they say which of them it has seen."""
    (path,) = (place / "cache").glob("*/tuned-*.h5")
    tuned, rows = FeatureCache(path), RunRows.load(shipped(place))
    assert len(tuned) == 28
    parts = {digest.tobytes(): part for digest, part in zip(tuned.sha256, tuned.seen, strict=True)}
    sides = {digest.tobytes(): side for digest, side in zip(rows.digest, rows.side, strict=True)}
    assert {(sides[key], part) for key, part in parts.items()} == {
        (2, UNSEEN),
        (1, TRAINED),
        (1, VALIDATED),
    }
    (frozen,) = (place / "cache").glob("*/bundled-*.h5")
    assert not FeatureCache(frozen).seen.any()


def test_the_same_call_embeds_nothing_again(place: Path) -> None:
    """Done is done; a cache that is gone, as after a kill, is made by the same call."""
    (path,) = (place / "cache").glob("*/tuned-*.h5")
    before, notes = path.read_bytes(), []
    done = tune(place, notify=notes.append)
    assert (done.cache, path.read_bytes()) == (path, before)
    assert "trained already; --overwrite trains again" in notes
    path.unlink()
    assert tune(place).cache == path
    assert FeatureCache(path).seen.any()


def test_moved_images_are_not_looked_for(place: Path, original: Path, tmp_path: Path) -> None:
    """It names the command that caches their features, with the place that was given."""
    (path,) = (place / "cache").glob("*/tuned-*.h5")
    path.unlink()
    shutil.copytree(original / "photos", tmp_path / "moved")
    notes: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("embedcache.workflows.tuned_features.locate", _gone)
        done = tune(place, replace(QUICK, source=tmp_path / "moved"), notify=notes.append)
    assert done.cache is None
    assert f"extract {tmp_path / 'moved'} --backbone tuned:{done.path}" in notes[-1]
    assert not path.exists()


def _gone(*_: object) -> None:
    raise UsageError("images are not there")


def test_heads_on_it_are_judged_by_what_it_has_not_seen(place: Path) -> None:
    """The 16 test rows choose and judge; the 12 that trained the backbone are fitted, too."""
    (path,) = (place / "cache").glob("*/tuned-*.h5")
    run = fit_head(path, runs_dir=place / "runs", values=(0.01,))
    assert run.report.split.kind == "cross-validation"
    assert (run.report.rows.train, run.report.rows.judged) == (28, 16)
    judged = RunRows.load(run.path)
    seen = FeatureCache(path).seen
    assert (judged.side[seen == UNSEEN] >= SIDE_FOLD).all()
    assert (judged.side[seen != UNSEEN] == SIDE_TRAIN).all()


def test_tuned_twice(place: Path) -> None:
    """Only rows that it has not seen validate and test it; what it has seen adds up."""
    (path,) = (place / "cache").glob("*/tuned-*.h5")
    run = fit_head(path, runs_dir=place / "runs", values=(0.01,)).path
    known = RunRows.load(run)
    side = known.side.copy()
    side[np.flatnonzero(side >= SIDE_FOLD)[:8]] = SIDE_TEST
    RunRows(known.digest, known.label, side).save(run)
    before = seen_by(BackboneRequest(f"tuned:{shipped(place)}"))
    assert before is not None
    done = finetune(run.name, QUICK, cache_dir=place / "cache", runs_dir=place / "runs", force=True)
    assert (done.record.gate.rows, done.record.gate.ships) == (8, True)
    now = load_file(done.path / "tuned-rows.safetensors")
    validated = now["digest"][now["part"] == VALIDATED].numpy()
    assert len(validated)
    assert not before.of(validated).any()
    after = seen_by(BackboneRequest(f"tuned:{done.path}"))
    assert after is not None
    assert len(after) == len(known.digest) - 8
    assert not after.of(known.digest[side == SIDE_TEST]).any()
    assert FeatureCache(done.cache).meta.backbone.name == f"tuned:{done.path.name}"


def test_its_page_shows_what_changed_sides(place: Path) -> None:
    """The gate's rows are kept, and the pictures of those that were fixed are on the page."""
    run = shipped(place)
    rows = GateRows.load(run)
    judged = Predictions.load(run, RunRows.load(run))
    assert sorted(rows.after) == sorted(judged.probability.argmax(axis=1))
    page = (run / "finetune.html").read_text()
    assert f"embedcache predict {run.name} IMAGES" in page
    assert f"embedcache finetune {tuning_source(run)} --unfreeze last-1 --lr 0.003" in page
    assert page.count("data:image/jpeg") == min(24, len(rows.fixed)) + min(24, len(rows.broken))


def tuning_source(run: Path) -> str:
    return str(json.loads((run / "finetune.json").read_bytes())["run"])


def test_predict_says_what_the_gate_measured(place: Path, original: Path) -> None:
    """The same answer to every test image, and the same probability but for rounding."""
    run = shipped(place)
    rows = RunRows.load(run)
    measured = Predictions.load(run, rows)
    predictor = Predictor(run, cache_dir=place / "elsewhere", workers=1)
    said = list(predictor.predict([original / "photos" / "test"]))
    (frozen,) = (place / "cache").glob("*/bundled-*.h5")
    cache = FeatureCache(frozen)
    position = {cache.sha256[row].tobytes(): cache.ids.text(row) for row in range(len(cache))}
    names = [position[rows.digest[row].tobytes()] for row in measured.row]
    answers = {each.id.decode().partition("photos/")[2]: each.probabilities for each in said}
    found = np.stack([answers[name] for name in names])
    assert len(names) == 16
    assert (found.argmax(1) == measured.probability.argmax(1)).all()
    assert np.abs(found - measured.probability).max() < 2e-3


def test_its_features_are_its_own(place: Path, original: Path) -> None:
    """A new identity: nothing of the frozen cache is read, and neither head takes the other's."""
    run = shipped(place)
    done = extract_source(
        original / "photos", f"tuned:{run.name}", cache_dir=place / "fresh", device="cpu"
    )
    assert (done.embedded, done.reused) == (28, 0)
    tuned = FeatureCache(done.cache)
    assert tuned.meta.backbone.name == f"tuned:{run.name}"
    assert tuned.meta.request["name"] == f"tuned:{run}"
    (frozen,) = (place / "cache").glob("*/bundled-*.h5")
    head = load_head(run)
    head.check_identity(tuned.identity)
    with pytest.raises(IdentityMismatchError, match="weights"):
        head.check_identity(FeatureCache(frozen).identity)
    before = load_head(fit_head(frozen, runs_dir=place / "runs", values=(0.01,)).path)
    with pytest.raises(IdentityMismatchError):
        before.check_identity(tuned.identity)


def test_nothing_frozen_is_reused(place: Path, original: Path) -> None:
    """With the frozen cache of the same images at hand, each one passes the tuned backbone."""
    (frozen,) = (place / "cache").glob("*/bundled-*.h5")
    (place / "only frozen" / frozen.parent.name).mkdir(parents=True)
    shutil.copy(frozen, place / "only frozen" / frozen.parent.name)
    done = extract_source(
        original / "photos",
        f"tuned:{shipped(place).name}",
        cache_dir=place / "only frozen",
        device="cpu",
    )
    assert (done.embedded, done.reused) == (28, 0)


def test_it_survives_a_move(place: Path, original: Path) -> None:
    """Of the runs folder, and under another name: it knows that its backbone lies in itself."""
    images = [original / "photos" / "test" / "red" / "0.png"]
    here = list(Predictor(shipped(place), cache_dir=place / "x").predict(images))
    (place / "runs").rename(place / "archive")
    moved = (place / "archive" / shipped(original).name).rename(place / "archive" / "best")
    there = list(Predictor(moved, cache_dir=place / "y").predict(images))
    assert (here[0].probabilities == there[0].probabilities).all()


def test_it_is_compared_with_the_frozen_run(place: Path) -> None:
    """On the test rows that both judged."""
    (frozen,) = (place / "runs").glob("*-logreg-1")
    found = compare([frozen, shipped(place)], runs_dir=place / "runs")
    assert found.rows == 16
    assert {each.model for each in found.runs} == {"logreg", "finetune"}


def test_it_remembers_what_trained_it(place: Path) -> None:
    """Training and validation rows of the run, and none of its test rows."""
    run = shipped(place)
    rows, seen = RunRows.load(run), seen_by(BackboneRequest(f"tuned:{run}"))
    assert seen is not None
    parts = seen.of(rows.digest)
    assert (parts[rows.side == 2] == 0).all()
    assert set(parts[rows.side == 1]) == {TRAINED, VALIDATED}


def test_a_changed_backbone_is_refused(place: Path, original: Path) -> None:
    """With exit code 4, before an image is read."""
    path = shipped(place) / "backbone" / "tower.safetensors"
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(CacheInvalidError, match="not the one that was shipped") as refused:
        Predictor(shipped(place), cache_dir=place / "x")
    assert refused.value.exit_code == 4


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("step", ["_fsync_tree", "_claimed"])
def test_killed_while_it_is_published(
    place: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """There is no run, or a whole one: the same call then makes it, at the same gate."""

    def die(*_: object) -> None:
        raise _Killed

    options = replace(QUICK, seed=3, checkpoint_minutes=0.0)
    with monkeypatch.context() as patch:
        patch.setattr(run_folder, step, die)
        with pytest.raises(_Killed):
            tune(place, options)
    assert [path.name[-8:] for path in list_runs(place / "runs")] == ["netune-1", "logreg-1"]
    monkeypatch.setattr(training._Run, "step", lambda *_: pytest.fail("trained again"))
    done = tune(place, options)
    assert done.record.gate.number == 2
    assert load_head(done.path).model == "finetune"
    assert build_architecture(BackboneRequest(f"tuned:{done.path}"))


def test_a_name_that_is_lost_is_not_kept(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who loses a race for a name writes the next one into the head."""
    claimed = run_folder._claimed
    lost: list[str] = []

    def race(temporary: Path, target: Path) -> bool:
        if not lost:
            lost.append(target.name)
            (target / "taken").mkdir(parents=True)
        return claimed(temporary, target)

    monkeypatch.setattr(run_folder, "_claimed", race)
    done = tune(place, replace(QUICK, seed=4))
    assert lost == [f"{done.path.name[:-1]}2"]
    assert load_head(done.path).backbone == f"tuned:{done.path.name}"


def test_without_a_pass_there_is_no_head(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The evidence is kept, and `predict` does not know it."""
    monkeypatch.setattr(workflow, "go_back", lambda *_: Sweep((), 0.0, 0.0))
    done = tune(place, replace(QUICK, seed=5))
    assert done.record.gate is None
    assert (done.path / "tuned.safetensors").is_file()
    assert not (done.path / "head.json").exists()
    assert not (done.path / "backbone").exists()
    config = json.loads((done.path / "config.json").read_bytes())
    assert "backbones" not in config


def test_the_tuned_weights_are_those_of_the_training(place: Path) -> None:
    """Frozen parts are the base's bit by bit, trained parts are not."""
    tuned = build_architecture(BackboneRequest(f"tuned:{shipped(place)}")).module.state_dict()
    base = build_architecture(BackboneRequest(BACKBONE["backbone"])).module.state_dict()
    moved = {name for name, value in base.items() if not torch.equal(tuned[name], value)}
    assert moved
    assert all(name.startswith(("blocks.6", "conv_head", "bn2")) for name in moved)
