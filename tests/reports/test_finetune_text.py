"""A fine-tuning as text."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_training import RECIPE

from embedcache.evaluation.intervals import Interval
from embedcache.finetuning.curve import Judged, Loss, Progress
from embedcache.finetuning.gate import Gate
from embedcache.finetuning.interpolation import Point, Sweep
from embedcache.finetuning.rates import Trial
from embedcache.finetuning.record import FORMAT, FinetuneRecord, Plan
from embedcache.heads.json_records import dump_record, load_record
from embedcache.reports.finetune_text import finetune_text

RECORD = FinetuneRecord(
    format=FORMAT,
    run="solar-logreg-1",
    backbone="bundled/efficientnet_lite0",
    family="efficientnet",
    device="cpu",
    unfreeze="all",
    blocks=8,
    trained_blocks=8,
    augment="none",
    class_weights=False,
    classes=("a", "b"),
    train_rows=1_640,
    validation_rows=328,
    c=0.001,
    residual_ratio=0.4,
    softened=True,
    plan=Plan(RECIPE, 3, 1.8, 15.0, 0.001, ("500 steps instead of 900, to end within 15 minutes",)),
    recipe=RECIPE,
    trials=(Trial(1e-4, 0.4, 0.8, 9.0), Trial(9e-4, None, None, 1.0)),
    progress=Progress(
        12, 8, 60.0, (Loss(6, 0.5), Loss(12, 0.4)), (Judged(0, 0.4, 0.8), Judged(12, 0.3, 0.9))
    ),
    minutes=16.2,
    fingerprint="f" * 64,
)


def test_it_says_what_was_done_and_what_is_not_known() -> None:
    """Blocks, rate, start, trials, curves with intervals, and the cost beside its estimate."""
    text = finetune_text(RECORD)
    assert max(map(len, text.splitlines())) <= 80
    for words in (
        "8 of 8 blocks and the head",
        "a thirtieth of the run's C",
        "diverged",
        "90.0% [8",
        "16.2 on cpu (estimated 15.0)",
        "500 steps instead of 900",
        "not known yet",
    ):
        assert words in text


SWEEP = Sweep((Point(0.0, 0.5, 0.8, 0.1, 0.05), Point(1.0, 0.4, 0.9, 0.0, None)), 0.7, 0.01)
GATE = Gate(
    2, 0.05 / 6, 656, 656, 45, 18, 0.845, 0.886, 0.041, Interval(0.01, 0.073), 0.0006, ships=True
)


@pytest.mark.parametrize(
    ("sweep", "gate", "words"),
    [
        (SWEEP, GATE, "passed"),
        (SWEEP, replace(GATE, ships=False), "stay frozen: not proven better"),
        (SWEEP, None, "no test rows"),
        (replace(SWEEP, alpha=0.0), None, "stay unread"),
    ],
)
def test_the_verdict(sweep: Sweep, gate: Gate | None, words: str) -> None:
    """One of four, after what it rests on; the record survives JSON with it."""
    record = replace(RECORD, sweep=sweep, gate=gate)
    text = finetune_text(record)
    assert max(map(len, text.splitlines())) <= 80
    assert words in text
    assert ("84.5% before, 88.6% after" in text) == (gate is not None)
    assert ("45 rows gained, 18 lost" in text) == (gate is not None)
    assert load_record(FinetuneRecord, dump_record(record)) == record


def test_groups_are_named() -> None:
    """Where rows come in groups, these have the votes."""
    text = finetune_text(replace(RECORD, sweep=SWEEP, gate=replace(GATE, units=80)))
    assert "45 of 80 groups gained, 18 lost" in text


def test_names_are_escaped() -> None:
    """A run's name cannot forge a line."""
    assert "\n" + "forged" not in finetune_text(replace(RECORD, run="x\nforged"))
