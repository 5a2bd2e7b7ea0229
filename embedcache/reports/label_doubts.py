"""Labels in doubt as a CSV file, and in a few lines of text.

Columns: `id`, `label`, `suggested`, `probability`, `self_confidence`, `trained`, `judged`.
"""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Iterable

from embedcache.heads.report import FitReport
from embedcache.heads.row_records import LabelDoubt
from embedcache.reports.columns import columns, shorten
from embedcache.reports.escape import printable
from embedcache.runs.folder import LABEL_DOUBTS

__all__ = ["doubt_lines", "doubts_csv"]

_MOST_SHOWN = 3


def doubts_csv(doubts: Iterable[LabelDoubt]) -> bytes:
    """The file: one line for each label, in the order given, undecodable bytes kept."""
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(
        ["id", "label", "suggested", "probability", "self_confidence", "trained", "judged"]
    )
    for each in doubts:
        writer.writerow(
            [
                each.id,
                each.label,
                each.suggested,
                f"{each.probability:.6f}",
                f"{each.self_confidence:.6f}",
                "yes" if each.trained else "no",
                "yes" if each.judged else "no",
            ]
        )
    return table.getvalue().encode("utf-8", "surrogateescape")


def doubt_lines(report: FitReport, width: int) -> list[str]:
    """How many there are, the first of them, and where the rest is."""
    found = report.label_doubts
    counted = found.counted(report.rows, crossed=bool(report.split.folds))
    lines = textwrap.wrap(f"{counted} look doubtful", width, subsequent_indent="  ")
    if not found.listed:
        return lines
    table = [["row", "label", "", "looks like", ""]]
    table += [
        [
            shorten(printable(each.id), width // 3),
            shorten(printable(each.label), width // 6),
            f"{100 * each.self_confidence:.1f} %",
            shorten(printable(each.suggested), width // 6),
            f"{100 * each.probability:.1f} %",
        ]
        for each in found.listed[:_MOST_SHOWN]
    ]
    return [*lines, *columns(table, "<<><>"), f"all of them: {LABEL_DOUBTS} in the run"]
