"""`compare_text`: runs side by side as text for 80 cells."""

from __future__ import annotations

import textwrap

from embedcache.evaluation.intervals import Interval
from embedcache.heads.comparison import Comparison, Pair
from embedcache.reports.columns import columns, shorten
from embedcache.reports.escape import printable

__all__ = ["compare_text"]


def compare_text(comparison: Comparison, width: int = 80) -> str:
    """The ranking, and how much better the first run is than each other.

    Args:
        comparison: What was found.
        width: Cells in a line.
    """
    sections = [
        _title(comparison, width),
        _ranking(comparison, width),
        _differences(comparison, width),
        _notes(comparison, width),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _title(comparison: Comparison, width: int) -> list[str]:
    judged = ", ".join(f"{run.judged}" for run in comparison.runs)
    text = f"{comparison.rows} rows judged by all {len(comparison.runs)} runs, of {judged}"
    return textwrap.wrap(text, width)


def _ranking(comparison: Comparison, width: int) -> list[str]:
    right = "exact match, %" if comparison.several else "accuracy, %"
    table = [["", "head", "backbone", right, "", "log-loss"]]
    table += [
        [
            str(rank),
            printable(run.model),
            shorten(printable(run.backbone), max(12, width - 52 - len(right) + len("accuracy, %"))),
            f"{100 * run.accuracy:.1f}",
            _shares(run.interval),
            f"{run.log_loss:.3f}",
        ]
        for rank, run in enumerate(comparison.runs, start=1)
    ]
    # Names are whole, however long, to be copied into the next command.
    names = [f"{rank} is {printable(run.run)}" for rank, run in enumerate(comparison.runs, 1)]
    return [*columns(table, "><<><>"), *names]


def _differences(comparison: Comparison, width: int) -> list[str]:
    pairs = [pair for pair in comparison.pairs if pair.first == 0]
    table = [["1 against", "points", "", "p", "log-loss", ""]]
    table += [
        [
            str(pair.second + 1),
            f"{100 * pair.accuracy:+.1f}",
            _signed(pair.accuracy_interval, 100, 1),
            _chance(pair),
            f"{pair.log_loss:+.3f}",
            _signed(pair.log_loss_interval, 1, 3),
        ]
        for pair in pairs
    ]
    several = len(comparison.pairs) > 1
    kind = "95 % intervals that hold for all pairs at once" if several else "95 % intervals"
    about = f"differences on the same rows, with {kind}; one without 0 is a difference"
    return [*textwrap.wrap(about, width), *columns(table, "><><><")]


def _notes(comparison: Comparison, width: int) -> list[str]:
    notes = []
    if comparison.relabelled:
        notes.append(f"{comparison.relabelled} rows left out: the runs have other labels for them")
    if len({run.dataset for run in comparison.runs}) > 1:
        notes.append("the runs are on different data sets; the common rows are the same images")
    if comparison.grouped:
        notes.append("rows of one group err together, and are drawn together; no p for single rows")
    if comparison.several:
        notes.append(
            "exact match: every label of a row is right; log-loss: the mean of its labels'"
        )
    if len(comparison.runs) > 2:
        notes.append("the best of many looks better than it is: on new rows expect less")
    return [
        line
        for note in notes
        for line in textwrap.wrap(f"note: {note}", width, subsequent_indent="  ")
    ]


def _shares(interval: Interval | None) -> str:
    return "[–]" if interval is None else f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _signed(interval: Interval | None, scale: float, digits: int) -> str:
    if interval is None:
        return "[–]"
    return f"[{scale * interval.low:+.{digits}f}, {scale * interval.high:+.{digits}f}]"


def _chance(pair: Pair) -> str:
    if pair.p is None:
        return "–"
    return "<0.001" if pair.p < 0.001 else f"{pair.p:.3f}"
