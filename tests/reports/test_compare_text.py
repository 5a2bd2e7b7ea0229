"""Runs side by side as text."""

from dataclasses import replace

import pytest
from rich.cells import cell_len

from embedcache.evaluation.intervals import Interval
from embedcache.heads.comparison import Comparison, Contestant, Pair
from embedcache.reports.compare_text import compare_text

RUN = Contestant(
    "pets-resnet50-logreg-1",
    "logreg",
    "timm/resnet50",
    "pets",
    400,
    0.912,
    Interval(0.88, 0.94),
    0.31,
)
PAIR = Pair(0, 1, 0.021, Interval(-0.004, 0.05), 0.0421, -0.05, Interval(-0.09, -0.01))
TWO = Comparison("accuracy", 350, 0, False, (RUN, replace(RUN, run="b", judged=350)), (PAIR,))


def test_it_shows_the_ranking_and_the_difference() -> None:
    """Both runs with their scores, the difference with its interval, and the common rows."""
    text = compare_text(TWO)
    assert "350 rows judged by all 2 runs, of 400, 350" in text
    assert "1  logreg  timm/resnet50         91.2  [88.0, 94.0]     0.310" in text
    assert "1 is pets-resnet50-logreg-1" in text
    assert "2  +2.1    [-0.4, +5.0]  0.042    -0.050  [-0.090, -0.010]" in text
    assert "at once" not in text


def test_it_says_what_weakens_the_comparison() -> None:
    """Relabelled rows, groups, other data sets, and the best of many."""
    third = replace(RUN, run="c", dataset="other")
    pairs = (replace(PAIR, p=None, accuracy_interval=None), replace(PAIR, second=2))
    found = Comparison("accuracy", 350, 3, True, (*TWO.runs, third), pairs)
    text = compare_text(found)
    for words in (
        "3 rows left out",
        "err together",
        "different data sets",
        "best of many",
        "all pairs at",
    ):
        assert words in text


@pytest.mark.parametrize("name", ["x" * 200, "データ" * 30, "a\x1b[31m\n" * 9])
def test_lines_fit_into_80_cells(name: str) -> None:
    """Whatever runs and backbones are called; only a run's whole name may be longer."""
    run = replace(RUN, run=name, backbone=name)
    for line in compare_text(replace(TWO, runs=(run, run))).splitlines():
        assert cell_len(line) <= 80 or line[1:].startswith(" is ")
        assert line.isprintable()
