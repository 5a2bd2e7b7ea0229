"""The whole ladder: what each stage hands to the next, and what a second call repeats."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from decisions import decision, pilot, signals
from fakes import FakeBackbone
from lab import Lab, split_pictures
from shop import BACKBONE

from embedcache.decision.record import Decision
from embedcache.errors import BudgetError, LockedError, UnfittableError, UsageError
from embedcache.extraction.records import NotesOnly, SilentObserver
from embedcache.finetuning.gate import judge_change
from embedcache.finetuning.interpolation import Point, Sweep
from embedcache.runs.folder import FINETUNE, list_runs
from embedcache.runs.ledger import LEDGER
from embedcache.storage.locks import exclusive
from embedcache.workflows import finetune, ladder_stages, tuning_gate
from embedcache.workflows import run as workflow
from embedcache.workflows.extract import extract_source
from embedcache.workflows.finetune_options import FinetuneOptions
from embedcache.workflows.ladder_stages import STAGES
from embedcache.workflows.run import Ladder, run_ladder
from embedcache.workflows.tuning_power import sees_more_crossed


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red and green pictures under train/ and test/, cached by a real backbone."""
    folder = tmp_path_factory.mktemp("ladder")
    split_pictures(folder / "photos", train=9, test=4)
    extract_source(folder / "photos", **BACKBONE, cache_dir=folder / "cache")
    return folder


@pytest.fixture
def gaining(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decisions on signals that ask for a pilot, and a pilot that gains."""

    def decide_on(
        problem: Any, rows: Any, asked: Any, limits: Any, *_: Any, **more: Any
    ) -> Decision:
        (source,) = problem.sources
        return decision(
            signals(model=asked.model),
            None if more["pilot"] is None else pilot(0.05, 0.03),
            identity=source.identity.digest,
            content_digest=source.content_digest,
            seed=rows.training.seed,
            limits=limits,
        )

    monkeypatch.setattr("embedcache.workflows.decide.decide_on", decide_on)


@pytest.fixture
def place(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gaining: None) -> Path:
    """A copy of the cache; verdicts for a training, which has two steps."""
    shutil.copytree(original / "cache", tmp_path / "cache")
    (tmp_path / "photos").symlink_to(original / "photos")
    quick = partial(FinetuneOptions, steps=2, batch_size=4, workers=0, precision="float32")
    monkeypatch.setattr(workflow, "FinetuneOptions", quick)
    monkeypatch.setattr(ladder_stages, "sees_more_crossed", lambda _: False)
    return tmp_path


def climb(place: Path, **options: Any) -> Ladder:
    options = {"unfreeze": "last-1", **options}
    return run_ladder(
        (place / "photos").resolve(),  # the same data set: its cache is copied
        **BACKBONE,
        cache_dir=place / "cache",
        runs_dir=place / "runs",
        **options,
    )


def folders(place: Path) -> list[str]:
    return sorted(path.name for path in (place / "runs").iterdir() if path.is_dir())


def test_it_climbs_to_the_top(place: Path) -> None:
    """Every stage starts from what the one before it made, and has its cost."""
    stages: list[str] = []
    done = climb(place, on_stage=stages.append)
    assert tuple(stages) == tuple(done.minutes) == STAGES
    assert done.decided is not None
    assert done.decided.decision.verdict == "ESCALATE"
    assert done.finetuned is not None
    assert done.finetuned.record.run == done.fitted.path.name
    assert done.finetuned.record.recipe.steps == 2
    assert done.left_out == {}
    assert all(done.minutes[stage] > 0 for stage in STAGES[1:])
    assert done.minutes["extract"] == 0  # the features were there
    assert done.use in list_runs(place / "runs")


def test_what_passes_its_gate_is_the_run_to_use(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its own accuracy; what stays frozen is not."""
    frozen = climb(place)
    assert frozen.tuned is None
    assert frozen.use == frozen.fitted.path
    points = (Point(0.0, 0.5, 0.8, 0.0, 0.1), Point(1.0, 0.5, 0.8, 0.0, 0.1))
    monkeypatch.setattr(finetune, "go_back", lambda *_: Sweep(points, 1.0, 0.0))
    monkeypatch.setattr(
        tuning_gate, "judge_change", lambda *given: replace(judge_change(*given), ships=True)
    )
    done = climb(place, seed=1)
    assert done.tuned is not None
    assert done.use == done.tuned.path
    assert done.use in list_runs(place / "runs")
    gate = done.tuned.record.gate
    assert gate is not None
    assert done.score.value == gate.accuracy_after
    assert done.score.interval is not None
    assert done.score.interval.low <= gate.accuracy_after <= done.score.interval.high
    assert climb(place, seed=1).use == done.use


def test_the_same_call_repeats_nothing(place: Path) -> None:
    """No other run, no other opening of test rows, no other cost."""
    first = climb(place)
    names, ledger = folders(place), (place / "runs" / LEDGER).read_bytes()
    second = climb(place)
    assert folders(place) == names
    assert (place / "runs" / LEDGER).read_bytes() == ledger
    assert second.minutes == first.minutes
    assert (second.fitted.path, second.use) == (first.fitted.path, first.use)
    assert second.fitted.report == first.fitted.report
    assert second.finetuned is not None
    assert second.finetuned.reused


class _Killed(BaseException):
    pass


def test_killed_between_any_two_stages_it_goes_on(place: Path) -> None:
    """What was finished before is there once, and its cost is kept."""
    for last in STAGES[1:]:

        def die(stage: str, last: str = last) -> None:
            if stage == last:
                raise _Killed

        with pytest.raises(_Killed):
            climb(place, on_stage=die)
    before = folders(place)
    assert [name.split("-")[-2] for name in before] == ["decide", "logreg"]
    (state,) = (place / "runs").glob(".run-*.json")
    spent = json.loads(state.read_bytes())["minutes"]
    assert set(spent) == {"fit-head", "decide"}
    done = climb(place)
    assert [name.split("-")[-2] for name in folders(place)] == ["decide", "finetune", "logreg"]
    assert {stage: done.minutes[stage] for stage in spent} == spent


def test_killed_while_it_trains_it_goes_on(place: Path) -> None:
    """Under a budget too: what is left of it is settled when the training begins."""
    stages: list[str] = []

    class Dies(SilentObserver):
        def progress(self, done: int, _total: int) -> None:
            if stages[-1] == "finetune" and done == 1:
                raise _Killed

    with pytest.raises(_Killed):
        climb(place, budget=50, observer=Dies(), on_stage=stages.append)
    (work,) = (place / "runs").glob(".finetune-*.work")
    done = climb(place, budget=50)
    assert not work.exists()
    assert done.finetuned is not None
    assert climb(place, budget=50).finetuned.path == done.finetuned.path
    assert len(list((place / "runs").glob(f"*/{FINETUNE}"))) == 1


def test_never_means_neither_training_nor_pilot(place: Path) -> None:
    """The verdict is what can be said without them."""
    done = climb(place, escalate="never")
    assert done.decided is not None
    assert done.decided.decision.pilot is None
    assert done.finetuned is None
    assert done.left_out == {"finetune": "as asked for"}


def test_always_means_whatever_the_verdict_is(place: Path) -> None:
    """It is asked all the same, without a pilot."""
    done = climb(place, escalate="always")
    assert done.decided is not None
    assert done.decided.decision.verdict == "PILOT_NEEDED"
    assert done.finetuned is not None


def test_a_verdict_against_it_ends_the_ladder(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is named."""
    monkeypatch.setattr(
        "embedcache.workflows.decide.decide_on",
        lambda *_, **__: decision(signals(), pilot(0.0, -0.01)),
    )
    done = climb(place)
    assert done.finetuned is None
    assert done.left_out == {"finetune": "the verdict is STAY_FROZEN"}


def test_a_spent_budget_leaves_out_what_is_dear(place: Path) -> None:
    """First the pilot; with a verdict from before, the training; a larger one goes on."""
    climb(place, escalate="never")
    for path in (place / "runs").glob("*-decide-*"):
        shutil.rmtree(path)
    poor = climb(place, budget=1e-9)
    assert poor.left_out == {
        "decide": "its pilot, as the budget is spent",
        "finetune": "the verdict is PILOT_NEEDED",
    }
    spent = sum(poor.minutes.values())
    short = climb(place, budget=spent + 1e-4, escalate="always")
    assert short.finetuned is None
    assert "too small" in short.left_out["finetune"]
    assert climb(place, budget=60).finetuned is not None
    # What is finished is there, whatever is left.
    assert climb(place, budget=60).left_out == {}


def test_a_budget_ends_an_extraction(lab: Lab, small_jobs: None, gaining: None) -> None:
    """What is embedded stays; without a budget the same call goes on."""
    places = {"cache_dir": lab.cache_dir, "runs_dir": lab.runs_dir}
    with pytest.raises(BudgetError, match="budget") as stopped:
        run_ladder(lab.photos, FakeBackbone(), budget=1e-9, **places)
    assert stopped.value.got is not None
    assert stopped.value.got.startswith("8 of 20 images")
    backbone = FakeBackbone()
    done = run_ladder(lab.photos, backbone, **places)
    assert done.extracted.rows == 20
    assert len(backbone.images) == 12
    assert "in memory" in done.left_out["finetune"]
    assert done.minutes["extract"] > 0
    assert run_ladder(lab.photos, FakeBackbone(), budget=1e-9, **places).use == done.use


@pytest.fixture
def crossing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `run` is: where cross-fitting sees more, it is chosen."""
    monkeypatch.setattr(ladder_stages, "sees_more_crossed", sees_more_crossed)


def test_it_cross_fits_where_test_rows_see_less(place: Path, crossing: None) -> None:
    """Eight test rows against eighteen training rows; the same call finds it finished."""
    notes: list[str] = []
    done = climb(place, observer=NotesOnly(notes.append))
    assert done.finetuned is not None
    assert any("cross-fitted training rows" in text for text in notes)
    assert not any("--cross-fit" in text for text in notes)
    again = climb(place)
    assert again.finetuned is not None
    assert (again.finetuned.reused, again.finetuned.path) == (True, done.finetuned.path)


def test_minutes_that_do_not_suffice_for_cross_fitting_train_once(
    place: Path, crossing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On test rows, where there are some; later calls under the same budget find that training."""
    notes: list[str] = []
    tried: list[bool] = []
    trained = ladder_stages.finetune

    def tuned(*given: Any, cross_fit: bool, **more: Any) -> Any:
        tried.append(cross_fit)
        if cross_fit:
            raise BudgetError("the budget is too small", expected="500 steps")
        return trained(*given, cross_fit=cross_fit, **more)

    monkeypatch.setattr(ladder_stages, "finetune", tuned)
    done = climb(place, budget=50, observer=NotesOnly(notes.append))
    assert done.finetuned is not None
    assert "not cross-fitted: the budget is too small" in notes
    again = climb(place, budget=50)
    assert tried == [True, False, False]
    assert again.finetuned is not None
    assert again.finetuned.reused
    climb(place, budget=51)
    assert tried[3:] == [True, False]


def test_without_test_rows_it_cross_fits_or_says_why_not(
    original: Path, tmp_path: Path, gaining: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cross-validated run has no rows that could prove a gain in another way."""
    quick = partial(FinetuneOptions, steps=2, batch_size=4, workers=0, precision="float32")
    monkeypatch.setattr(workflow, "FinetuneOptions", quick)
    (tmp_path / "photos").mkdir()
    for name in ("red", "green"):
        shutil.copytree(original / "photos" / "train" / name, tmp_path / "photos" / name)
    options = {**BACKBONE, "cache_dir": tmp_path / "cache", "runs_dir": tmp_path / "runs"}
    asked: list[bool] = []

    def fails(*_: Any, cross_fit: bool, **__: Any) -> Any:
        asked.append(cross_fit)
        raise UnfittableError("a class is too rare to be cross-fitted")

    trained = ladder_stages.finetune
    monkeypatch.setattr(ladder_stages, "finetune", fails)
    done = run_ladder(tmp_path / "photos", unfreeze="last-1", **options)
    assert asked == [True]
    assert done.left_out == {"finetune": "a class is too rare to be cross-fitted"}
    monkeypatch.setattr(ladder_stages, "finetune", trained)
    done = run_ladder(tmp_path / "photos", unfreeze="last-1", **options)
    assert done.finetuned is not None


def test_several_labels_each_end_the_ladder_at_the_head(lab: Lab) -> None:
    """Head and score are made; verdict and training are left out, with the plain reason."""
    table = lab.photos.parent / "tags.csv"
    rows = [
        f"{name}/{at}.png,{name}|{'even' if at % 2 else ''}"
        for name in ("red", "green")
        for at in range(10)
    ]
    table.write_text("\n".join(["path,tags", *rows]))
    done = run_ladder(
        table,
        FakeBackbone(),
        root=lab.photos,
        label_column="tags",
        label_separator="|",
        cache_dir=lab.cache_dir,
        runs_dir=lab.runs_dir,
    )
    assert done.fitted.head.output == "sigmoid"
    assert (done.decided, done.finetuned) == (None, None)
    why = "the images have several labels each"
    assert done.left_out == {"decide": why, "finetune": why}


def test_other_content_is_another_ladder(lab: Lab, gaining: None) -> None:
    """With an image less, head and verdict are made anew."""
    options = {"cache_dir": lab.cache_dir, "runs_dir": lab.runs_dir, "escalate": "never"}
    first = run_ladder(lab.photos, FakeBackbone(), **options)
    (lab.photos / "red" / "0.png").unlink()
    second = run_ladder(lab.photos, FakeBackbone(), **options)
    assert second.fitted.path != first.fitted.path
    assert first.decided is not None
    assert second.decided is not None
    assert second.decided.path != first.decided.path


@pytest.mark.parametrize(
    "options", [{"model": "zero-shot"}, {"escalate": "maybe"}, {"budget": 0}, {"augment": "wild"}]
)
def test_impossible_wishes_are_usage_errors(options: dict[str, Any], lab: Lab) -> None:
    """Before anything is computed."""
    with pytest.raises(UsageError):
        run_ladder(lab.photos, FakeBackbone(), cache_dir=lab.cache_dir, **options)
    assert not lab.cache_dir.exists()


def test_two_at_once_are_refused(place: Path) -> None:
    """They would do everything twice."""
    climb(place, escalate="never")
    (state,) = (place / "runs").glob(".run-*.json")
    with exclusive(state.with_suffix(".lock")), pytest.raises(LockedError):
        climb(place)
