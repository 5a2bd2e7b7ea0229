"""What the stages of a ladder have cost, over all calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedcache.errors import CacheInvalidError
from embedcache.workflows.ladder_costs import LadderCosts


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Its one entry is the time, in seconds."""
    now = [0.0]
    monkeypatch.setattr("embedcache.workflows.ladder_costs.time.monotonic", lambda: now[0])
    return now


def test_minutes_add_up_over_calls(tmp_path: Path, clock: list[float]) -> None:
    """Those of a stage that was interrupted count; a look at a finished one does not."""
    path = tmp_path / "costs.json"

    def interrupted() -> None:
        with LadderCosts(path, None).of("extract"):
            clock[0] += 60
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    costs = LadderCosts(path, 10.0)
    with costs.of("extract"):
        clock[0] += 120
    with costs.of("extract") as meter:
        clock[0] += 600
        meter.reused(True)
    assert costs.minutes("extract") == 3.0
    assert costs.minutes("decide") == 0.0
    assert costs.left == 7.0
    assert LadderCosts(path, 2.0).left == 0.0
    assert LadderCosts(path, None).left == float("inf")


def test_a_training_keeps_its_minutes(tmp_path: Path, clock: list[float]) -> None:
    """So that the second call finds the training of the first; another budget is another one."""
    path = tmp_path / "costs.json"
    costs = LadderCosts(path, 10.0)
    with costs.of("decide"):
        clock[0] += 180
    assert costs.for_training() == 7.0
    with costs.of("finetune"):
        clock[0] += 360
    assert LadderCosts(path, 10.0).for_training() == 7.0
    assert LadderCosts(path, 20.0).for_training() == 11.0
    assert LadderCosts(path, None).for_training() is None


@pytest.mark.parametrize("content", ["", "[]", '{"minutes": {"extract": "long"}}'])
def test_a_damaged_file_is_refused(content: str, tmp_path: Path) -> None:
    """With what to do."""
    path = tmp_path / "costs.json"
    path.write_text(content)
    with pytest.raises(CacheInvalidError, match="damaged") as refused:
        LadderCosts(path, None)
    assert refused.value.hint is not None
