"""The page of a fine-tuning."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import materials
import pytest
from tunings import GATE, RECORD, SWEEP, gate_rows

from embedcache.finetuning.gate import Gate
from embedcache.finetuning.interpolation import Sweep
from embedcache.finetuning.record import FinetuneRecord
from embedcache.reports.page.finetune import FinetuneMaterial, finetune_page

SHIPPED = replace(RECORD, sweep=SWEEP, gate=GATE)


class _Seen(HTMLParser):
    """Tags and text as a browser sees them."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, _attributes: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def shown(record: FinetuneRecord = SHIPPED, **changes: Any) -> _Seen:
    rows = gate_rows()
    material = FinetuneMaterial(
        record=record,
        dataset="solar",
        name="solar-finetune-1",
        names=("functional", "defective"),
        rows=rows,
        ids=[f"cell{at}.png" for at in range(len(rows.label))],
        picture=lambda at: f"data:image/jpeg;base64,{at}" if at else None,
        commands=("embedcache extract solar", "embedcache finetune solar-logreg-1 --force"),
        versions={"python": "3.12"},
    )
    return _Seen(finetune_page(replace(material, **changes)))


def test_what_shipped_is_shown_whole() -> None:
    """The gain and its proof, five charts, and the rows that changed sides; no script."""
    seen = shown()
    assert "script" not in seen.tags
    assert seen.tags.count("h2") == 11
    for words in (
        "the tuned model ships",
        "+4.1 points [+1.0, +7.3]",
        "45 rows gained, 18 lost",
        "p\xa0=\xa00.0006, where 0.0083 is needed",
        "16.2 minutes on cpu bought +27 right answers in 656",
        "embedcache predict solar-finetune-1 IMAGES…",
        "The barrier on the way",
        "Fixed: 3",
        "Broken: 2",
        "cell4.png",
        "no picture",
        "diverged",
        "500 steps instead of 900",
        "embedcache finetune solar-logreg-1 --force",
        "python 3.12",
    ):
        assert words in seen.text
    assert seen.tags.count("img") == 4  # five rows changed sides, one has no picture


@pytest.mark.parametrize(
    ("sweep", "gate", "words"),
    [
        (SWEEP, replace(GATE, ships=False), "not proven better"),
        (SWEEP, None, "no test rows"),
        (replace(SWEEP, alpha=0.0), None, "stay unread"),
    ],
)
def test_what_stays_frozen_says_why(sweep: Sweep, gate: Gate | None, words: str) -> None:
    """With the evidence as far as there is any, and no run to predict with."""
    record = replace(RECORD, sweep=sweep, gate=gate)
    seen = shown(record, name=None, **({} if gate else {"rows": None}))
    assert "stay frozen" in seen.text
    assert words in seen.text
    assert "embedcache predict" not in seen.text
    assert ("Fixed" in seen.text) == (gate is not None)
    assert "How far to go" in seen.text


def test_weights_that_go_to_the_gate_for_their_accuracy_say_so() -> None:
    """The tuned ones of a tie; else the least log-loss is named as the reason."""
    tuned = replace(SWEEP.points[1], log_loss=0.51, excess=0.01, standard_error=0.05)
    tie = replace(SWEEP, points=(replace(SWEEP.points[0], excess=0.0), tuned), alpha=1.0)
    assert "it has more rows right" in shown(replace(RECORD, sweep=tie)).text
    least = shown(replace(RECORD, sweep=SWEEP)).text
    assert "it has more rows right" not in least
    assert "that of the least log-loss, each point" in least


def test_only_some_of_many_pictures_are_shown() -> None:
    """And it says so."""
    rows = gate_rows(fixed=100, broken=0)
    seen = shown(rows=rows, ids=[str(at) for at in range(len(rows.label))])
    assert "Fixed: 100" in seen.text
    assert "surest 24 of them" in seen.text.lower()
    assert seen.tags.count("img") == 24
    assert "No row." in seen.text


def test_hostile_names_mean_nothing_to_a_browser() -> None:
    """In classes, ids, the run, the data set and the commands."""
    hostile = materials.HOSTILE
    page = shown(
        replace(SHIPPED, run=hostile, backbone=hostile, unfreeze=hostile),
        dataset=hostile,
        name=hostile,
        names=(hostile, hostile),
        ids=[hostile] * 10,
        commands=(hostile,),
    )
    assert "script" not in page.tags
    assert "\x1b" not in page.text


def test_a_record_without_curves_has_a_page() -> None:
    """Where nothing was judged, there is nothing to draw."""
    bare = replace(RECORD, progress=replace(RECORD.progress, losses=(), judged=()), trials=())
    for sweep in (None, replace(SWEEP, points=())):
        text = shown(replace(bare, sweep=sweep), name=None, rows=None).text
        assert "Log-loss" not in text
        assert "How far to go" not in text
