"""Labels in doubt as a CSV file, and in a few lines of text.

Columns: `id`, `label`, `suggested`, `probability`, `self_confidence`, `trained`, `judged`; where
rows have any number of labels: `id`, `label`, `labelled`, `probability`, `trained`, `judged`.
"""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Iterable, Sequence

from embedcache.heads.multilabel.report import MarkDoubt, MultilabelReport
from embedcache.heads.report import FitReport
from embedcache.heads.row_records import LabelDoubt
from embedcache.reports.columns import columns, shorten
from embedcache.reports.escape import printable
from embedcache.runs.folder import LABEL_DOUBTS

__all__ = ["doubt_lines", "doubts_csv", "mark_doubt_lines"]

_MOST_SHOWN = 3


_ONE_LABEL = ("suggested", "probability", "self_confidence")
_LABELS = ("labelled", "probability")


def doubts_csv(
    doubts: Iterable[LabelDoubt] | Iterable[MarkDoubt], *, several: bool = False
) -> bytes:
    """The file: one line for each label, in the order given, undecodable bytes kept.

    Args:
        doubts: Labels, or marks of labels.
        several: Whether rows have any number of labels.
    """
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    own = _LABELS if several else _ONE_LABEL
    writer.writerow(["id", "label", *own, "trained", "judged"])
    for each in doubts:
        sides = [_yes(holds=each.trained), _yes(holds=each.judged)]
        writer.writerow([each.id, each.label, *_cells(each), *sides])
    return table.getvalue().encode("utf-8", "surrogateescape")


def _cells(doubt: LabelDoubt | MarkDoubt) -> list[str]:
    if isinstance(doubt, MarkDoubt):
        return [_yes(holds=doubt.has), f"{doubt.probability:.6f}"]
    return [doubt.suggested, f"{doubt.probability:.6f}", f"{doubt.self_confidence:.6f}"]


def _yes(*, holds: bool) -> str:
    return "yes" if holds else "no"


def doubt_lines(report: FitReport, width: int) -> list[str]:
    """How many there are, the first of them, and where the rest is."""
    found = report.label_doubts
    counted = found.counted(report.rows, crossed=bool(report.split.folds))
    lines = textwrap.wrap(f"{counted} look doubtful", width, subsequent_indent="  ")
    if not found.listed:
        return lines
    rows = [
        [
            shorten(printable(each.id), width // 3),
            shorten(printable(each.label), width // 6),
            f"{100 * each.self_confidence:.1f} %",
            shorten(printable(each.suggested), width // 6),
            f"{100 * each.probability:.1f} %",
        ]
        for each in found.listed[:_MOST_SHOWN]
    ]
    return [*lines, *_table(["row", "label", "", "looks like", ""], rows, "<<><>")]


def mark_doubt_lines(report: MultilabelReport, width: int) -> list[str]:
    """The same where rows have any number of labels."""
    found = report.label_doubts
    counted = found.counted(report.rows, len(report.labels), crossed=bool(report.split.folds))
    lines = textwrap.wrap(
        f"{counted} (one for each row and label) look doubtful", width, subsequent_indent="  "
    )
    if not found.listed:
        return lines
    rows = [
        [
            shorten(printable(each.id), width // 3),
            shorten(printable(each.label), width // 4),
            _yes(holds=each.has),
            f"{100 * each.probability:.1f} %",
        ]
        for each in found.listed[:_MOST_SHOWN]
    ]
    return [*lines, *_table(["row", "label", "has it", "probability"], rows, "<<<>")]


def _table(head: list[str], rows: Sequence[list[str]], align: str) -> list[str]:
    return [*columns([head, *rows], align), f"all of them: {LABEL_DOUBTS} in the run"]
