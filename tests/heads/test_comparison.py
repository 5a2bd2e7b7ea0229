"""Runs compared on the rows that all of them judged."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from problems import cycle, digests, problem

from embedcache.errors import CacheInvalidError, UsageError
from embedcache.heads.comparison import Comparison, compare_runs
from embedcache.heads.fit import Fitted, fit
from embedcache.heads.predictions import Predictions
from embedcache.heads.rows import RunRows

LABELS = cycle(3, 120)


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    """A run on 120 images of three classes, judged by cross-validation."""
    return fit(problem(LABELS), model="ncm")


def _save(fitted: Fitted, folder: Path, right: np.ndarray, **changes: Any) -> Path:
    """The run with other answers: right with 0.8, or wrong with 0.8."""
    labels = np.asarray(changes.pop("labels", LABELS))
    answer = np.where(right, labels, (labels + 1) % 3)
    shares = np.full((120, 3), 0.1, np.float32)
    shares[np.arange(120), answer] = 0.8
    fields: dict[str, Any] = {
        "row": np.arange(120),
        "group": np.full(120, -1, np.int32),
        "probability": shares,
        **changes,
    }
    rows = RunRows(changes.pop("digest", digests(120)), labels, np.ones(120, np.uint8))
    fields.pop("digest", None)
    folder.mkdir()
    replace(fitted, rows=rows, predictions=Predictions(**fields)).save(folder)
    return folder


def _right(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(120) < count


def test_the_better_run_comes_first(fitted: Fitted, tmp_path: Path) -> None:
    """Accuracy, log-loss, and their differences are those of the answers."""
    worse, better = _right(60), _right(60) | _right(60, 1)
    found = compare_runs(
        [_save(fitted, tmp_path / "a", worse), _save(fitted, tmp_path / "b", better)]
    )
    assert [run.run for run in found.runs] == ["b", "a"]
    assert found.rows == 120
    (pair,) = found.pairs
    gain = better.mean() - worse.mean()
    assert pair.accuracy == pytest.approx(gain)
    assert pair.log_loss == pytest.approx(gain * (np.log(0.1) - np.log(0.8)), rel=1e-5)
    assert pair.p is not None
    assert pair.p < 1e-4
    assert pair.accuracy_interval is not None
    assert 0 < pair.accuracy_interval.low < gain < pair.accuracy_interval.high


def test_rows_are_joined_by_digest(fitted: Fitted, tmp_path: Path) -> None:
    """Another order of rows, and rows that only one run has, change nothing for the others."""
    right = _right(70)
    mirrored = _save(
        fitted,
        tmp_path / "b",
        right[::-1],
        labels=LABELS[::-1],
        digest=digests(120)[::-1],
    )
    found = compare_runs([_save(fitted, tmp_path / "a", right), mirrored])
    assert found.pairs[0].accuracy == 0
    assert found.rows == 120
    shifted = _save(
        fitted, tmp_path / "c", right, digest=digests(120, start=80), labels=(LABELS + 80) % 3
    )
    found = compare_runs([tmp_path / "a", mirrored, shifted])
    assert found.rows == 40
    assert {run.judged for run in found.runs} == {120}


def test_other_labels_are_left_out(fitted: Fitted, tmp_path: Path) -> None:
    """A row that was relabelled between two runs compares nothing."""
    labels = LABELS.copy()
    labels[:7] = (labels[:7] + 1) % 3
    first = _save(fitted, tmp_path / "a", _right(70))
    found = compare_runs([first, _save(fitted, tmp_path / "b", _right(70), labels=labels)])
    assert found.relabelled == 7
    assert found.rows == 113


def test_groups_widen_the_intervals(fitted: Fitted, tmp_path: Path) -> None:
    """Ten rows of a group that err together are worth less than ten rows."""
    right = np.repeat(np.arange(12) % 3 > 0, 10)
    group = np.repeat(np.arange(12, dtype=np.int32), 10)
    alone = compare_runs(
        [_save(fitted, tmp_path / "a", ~right), _save(fitted, tmp_path / "b", right)]
    ).pairs[0]
    together = compare_runs(
        [
            _save(fitted, tmp_path / "c", ~right, group=group),
            _save(fitted, tmp_path / "d", right, group=group),
        ]
    )
    assert together.grouped
    pair = together.pairs[0]
    assert pair.p is None
    for name in ("accuracy_interval", "log_loss_interval"):
        narrow, wide = getattr(alone, name), getattr(pair, name)
        assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_more_runs_widen_the_intervals(fitted: Fitted, tmp_path: Path) -> None:
    """Six intervals that hold at once are wider than one, and p is adjusted."""
    paths = [_save(fitted, tmp_path / f"{i}", _right(70, i)) for i in range(4)]
    alone = compare_runs(paths[:2]).pairs[0]
    found = compare_runs(paths)
    assert len(found.pairs) == 6
    pair = next(
        p for p in found.pairs if {found.runs[p.first].run, found.runs[p.second].run} == {"0", "1"}
    )
    assert alone.accuracy_interval is not None
    assert pair.accuracy_interval is not None
    assert _width(pair.accuracy_interval) > 1.1 * _width(alone.accuracy_interval)
    assert alone.p is not None
    assert pair.p is not None
    assert pair.p >= alone.p


def _width(interval: Any) -> float:
    return float(interval.high - interval.low)


def test_log_loss_can_rank(fitted: Fitted, tmp_path: Path) -> None:
    """The run of the lower log-loss is first, though it is right as often."""
    right = _right(70)
    timid = np.full((120, 3), 0.3, np.float32)
    timid[np.arange(120), np.where(right, LABELS, (LABELS + 1) % 3)] = 0.4
    paths = [
        _save(fitted, tmp_path / "a", right, probability=timid),
        _save(fitted, tmp_path / "b", right),
    ]

    def best(found: Comparison) -> str:
        return min(found.runs, key=lambda run: run.log_loss).run

    found = compare_runs(paths, metric="log_loss")
    assert found.runs[0].run == best(found)
    assert found.pairs[0].log_loss < 0


def test_what_cannot_be_compared_is_refused(fitted: Fitted, tmp_path: Path) -> None:
    """One run, a run twice, no common rows, other labels everywhere, and a damaged run."""
    first = _save(fitted, tmp_path / "a", _right(70))
    with pytest.raises(UsageError, match="two runs"):
        compare_runs([first])
    with pytest.raises(UsageError, match="twice"):
        compare_runs([first, first])
    with pytest.raises(UsageError, match="unknown metric"):
        compare_runs([first], metric="f1")
    other = _save(fitted, tmp_path / "b", _right(70), digest=digests(120, start=500))
    with pytest.raises(UsageError, match=r"no judged rows in common[\s\S]*a \(120 rows\)"):
        compare_runs([first, other])
    renamed = _save(fitted, tmp_path / "c", _right(70), labels=(LABELS + 1) % 3)
    with pytest.raises(UsageError, match="under different labels"):
        compare_runs([first, renamed])
    (other / "predictions.safetensors").unlink()
    with pytest.raises(CacheInvalidError, match="missing"):
        compare_runs([first, other])
