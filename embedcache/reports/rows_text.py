"""`row_lines`: where a run's rows went, and what a person should know of them, as plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from embedcache.heads.run_report import RunReport
from embedcache.reports.escape import printable
from embedcache.reports.near_text import near_lines

__all__ = ["row_lines"]

_MOST_LISTED = 5


def row_lines(report: RunReport, notes: Iterable[str], width: int) -> list[str]:
    """Rows left out, conflicts, images on both sides, near duplicates, notes.

    Args:
        report: Of a fit.
        notes: Why scores or intervals are missing.
        width: Cells in a line.
    """
    rows = report.rows
    parts = [
        f"{count} {what}"
        for count, what in (
            (rows.unlabelled, "unlabelled"),
            (rows.duplicates, "duplicates"),
            (rows.conflicting, "with conflicting labels"),
        )
        if count
    ]
    left_out = ", ".join(parts) if parts else "none"
    lines = _wrapped(f"rows left out, of {rows.total:,}: {left_out}", width)
    for conflict in report.conflicts[:_MOST_LISTED]:
        pairs = ", ".join(
            f"{printable(name)} as {printable(label)}"
            for name, label in zip(conflict.ids, conflict.labels, strict=True)
        )
        lines += _wrapped(f"conflict: {pairs}", width)
    for crossing in report.crossings[:_MOST_LISTED]:
        same = f"{printable(crossing.train)} (left training) = {printable(crossing.test)}"
        lines += _wrapped(f"on both sides: {same}", width)
    more = report.crossing_count - _MOST_LISTED
    if more > 0:
        lines.append(f"and {more} more on both sides: see report.json")
    lines += near_lines(report.near_duplicates, width)
    for note in (*report.notes, *notes):
        lines += _wrapped(f"note: {printable(note)}", width)
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent="  ")
