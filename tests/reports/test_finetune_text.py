"""A fine-tuning as text."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tunings import GATE, RECORD, SWEEP

from embedcache.finetuning.gate import Gate
from embedcache.finetuning.interpolation import Sweep
from embedcache.finetuning.record import FinetuneRecord
from embedcache.heads.json_records import dump_record, load_record
from embedcache.reports.finetune_text import finetune_text


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
