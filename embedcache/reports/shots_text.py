"""A few-shot curve as plain text."""

from __future__ import annotations

import textwrap

from embedcache.heads.report import FitReport
from embedcache.heads.shot_records import ShotPoint, ShotScore
from embedcache.reports.columns import columns
from embedcache.reports.escape import printable

__all__ = ["shots_lines"]

_MOST_NAMED = 3


def shots_lines(report: FitReport, width: int) -> list[str]:
    """A line for each number of rows of a class, and one for all rows; nothing without a curve."""
    curve = report.shots
    if curve is None:
        return []
    table = [["per class", "rows", "accuracy", "", "95 %", "balanced", "log-loss"]]
    table += [_cells(point) for point in curve.points]
    scores = [report.evaluation.score(each.name) for each in curve.points[0].scores]
    accuracy, balanced, loss = (score.value or 0.0 for score in scores)
    own = scores[0].interval
    table.append(
        [
            "all",
            f"{report.rows.train:,}",
            f"{100 * accuracy:.1f} %",
            "",
            f"[{100 * own.low:.1f}, {100 * own.high:.1f}]" if own else "[–]",
            f"{100 * balanced:.1f} %",
            f"{loss:.3f}",
        ]
    )
    draws = "draw" if curve.seeds == 1 else "draws"
    lines = [f"few-shot, mean ± spread of {curve.seeds} {draws} of rows:"]
    lines += columns(table, ">>>>>>>")
    for point in curve.points:
        lines += textwrap.wrap(_short(point), width, subsequent_indent="  ")
    return lines


def _cells(point: ShotPoint) -> list[str]:
    accuracy, balanced, loss = point.scores
    return [
        str(point.shots),
        f"{point.rows:,}",
        f"{100 * accuracy.mean:.1f} %",
        "" if accuracy.spread is None else f"± {100 * accuracy.spread:.1f}",
        _interval(accuracy),
        f"{100 * balanced.mean:.1f} %",
        f"{loss.mean:.3f}",
    ]


def _interval(score: ShotScore) -> str:
    found = score.interval
    return "[–]" if found is None else f"[{100 * found.low:.1f}, {100 * found.high:.1f}]"


def _short(point: ShotPoint) -> str:
    if not point.short:
        return ""
    names = ", ".join(printable(name) for name in point.short[:_MOST_NAMED])
    more = ", …" if len(point.short) > _MOST_NAMED else ""
    return f"fewer than {point.shots} training rows, all of them taken: {names}{more}"
