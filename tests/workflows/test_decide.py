"""A decision is made on a cache and stored."""

import csv
from pathlib import Path

import pytest
from lab import Lab

from embedcache.decision.record import Decision
from embedcache.errors import UsageError
from embedcache.heads.json_records import load_record
from embedcache.runs.folder import DECISION, DECISION_PAGE, DOUBTS, list_runs
from embedcache.workflows.decide import decide


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
