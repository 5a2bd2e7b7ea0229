"""A decision is made on a cache and stored."""

import csv
from pathlib import Path

import pytest
from decisions import pilot
from lab import RED, Lab, paint

from embedcache.decision.pilot_result import Pilot, PilotResult, PilotTask
from embedcache.decision.record import Decision
from embedcache.errors import UsageError
from embedcache.heads.json_records import load_record
from embedcache.runs.folder import DECISION, DECISION_PAGE, DOUBTS, list_runs
from embedcache.store.cache import FeatureCache
from embedcache.workflows.decide import decide, fresh_decision


def test_the_folder_holds_the_decision_its_page_and_the_doubts(lab: Lab) -> None:
    """The record is read back as it was; the folder is no run."""
    cache = lab.extract().cache
    found = decide(cache, runs_dir=lab.runs_dir)
    assert {path.name for path in found.path.iterdir()} == {DECISION, DECISION_PAGE, DOUBTS}
    assert load_record(Decision, (found.path / DECISION).read_bytes()) == found.decision
    assert found.path.name.endswith("-decide-1")
    assert list_runs(lab.runs_dir) == []
    with (found.path / DOUBTS).open() as file:
        assert next(csv.reader(file)) == ["id", "label", "looks like", "margin"]


def test_twenty_pictures_are_too_few(lab: Lab) -> None:
    """However well red and green are told apart; the same seed says the same."""
    lab.extract()
    first, second = (decide(cache_dir=lab.cache_dir, runs_dir=lab.runs_dir) for _ in range(2))
    assert first.decision.verdict == "INCONCLUSIVE"
    assert first.decision == second.decision


@pytest.mark.parametrize(
    "options", [{"target": 95.0}, {"min_gain": 0}, {"budget": 0}, {"model": "forest"}]
)
def test_impossible_wishes_are_usage_errors(options: dict[str, object], tmp_path: Path) -> None:
    """Before anything is computed."""
    with pytest.raises(UsageError):
        decide(tmp_path / "none.h5", **options)


def test_the_pilot_runs_by_default(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the minutes and the device that were asked for; not with `pilot=False`."""
    monkeypatch.setattr("embedcache.decision.decide.needs_pilot", lambda _: True)
    asked: list[tuple[str, float, str]] = []

    def made(features: FeatureCache, *, device: str, observer: object) -> Pilot:
        assert observer is None
        return lambda task: run(features, device, task)

    def run(features: FeatureCache, device: str, task: PilotTask) -> PilotResult:
        asked.append((str(features.path), task.minutes, device))
        return pilot(0.05, 0.03)

    monkeypatch.setattr("embedcache.workflows.decide.make_pilot", made)
    cache = lab.extract().cache
    found = decide(cache, runs_dir=lab.runs_dir, budget=2.5, device="cpu")
    assert found.decision.pilot == pilot(0.05, 0.03)
    assert decide(cache, runs_dir=lab.runs_dir, pilot=False).decision.pilot is None
    assert asked == [(str(cache), 2.5, "cpu")]


def test_a_fresh_decision_is_found_again(lab: Lab) -> None:
    """Until the cache changes; one with other options, or of less time, is none."""
    cache = FeatureCache(lab.extract().cache)
    assert fresh_decision(cache, lab.runs_dir) is None
    for other in ({"values": (0.1,)}, {"min_gain": 0.02}, {"budget": 1.0}, {"seed": 1}):
        decide(cache, runs_dir=lab.runs_dir, **other)
        assert fresh_decision(cache, lab.runs_dir) is None
    asked = {"target": 0.5, "model": "ncm", "seed": 1, "budget": 1.0}
    assert fresh_decision(cache, lab.runs_dir, **asked) is None
    other = decide(cache, runs_dir=lab.runs_dir, **asked)
    again = fresh_decision(cache, lab.runs_dir, **{**asked, "budget": 0.5})
    assert again is not None
    assert again.path == other.path
    first = decide(cache, runs_dir=lab.runs_dir, budget=20.0)
    found = fresh_decision(cache, lab.runs_dir)
    assert found is not None
    assert (found.path, found.decision) == (first.path, first.decision)
    paint(lab.photos / "red" / "another.png", RED, 99)
    assert fresh_decision(FeatureCache(lab.extract().cache), lab.runs_dir) is None
