"""`series_chart`: one or several lines over an even axis, as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from embedcache.evaluation.intervals import Interval
from embedcache.reports.page.drawing import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    dot,
    horizontal,
    round_ticks,
    svg,
    vertical,
    words,
)
from embedcache.reports.page.parts import text

__all__ = ["Series", "series_chart"]

_DOTS = 16
"""A line of more points than that has none of them marked."""


@dataclass(frozen=True)
class Series:
    """A line.

    Attributes:
        name: For the legend; empty for none.
        points: (x, y), from left to right.
        intervals: Of each y; empty for none.
        kind: Its class in the style: `line`, `other` or `guide`.
    """

    name: str
    points: Sequence[tuple[float, float]]
    intervals: Sequence[Interval] = ()
    kind: str = "line"


def series_chart(
    lines: Sequence[Series],
    x_name: str,
    title: str,
    *,
    chosen: tuple[float, float] | None = None,
    unit: str = "",
) -> str:
    """Lines over one pair of axes.

    Args:
        lines: One or more, each of a point or more.
        x_name: What the axis below counts.
        title: For those who don't see it.
        chosen: A point to put a ring around.
        unit: Behind the figures of the upright axis.
    """
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    ys += [end for line in lines for each in line.intervals for end in (each.low, each.high)]
    first, last = min(xs), max(xs)
    ticks = round_ticks(min(ys), max(ys))

    def across(x: float) -> float:
        return LEFT + 8 + (RIGHT - LEFT - 16) * (x - first) / ((last - first) or 1.0)

    def up(y: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (y - ticks[0]) / ((ticks[-1] - ticks[0]) or 1.0)

    marks = [horizontal(up(tick), f"{tick:.4g}{unit}") for tick in ticks]
    marks += [
        words(across(tick), BOTTOM + 15, f"{tick:,.4g}", "middle")
        for tick in round_ticks(first, last)
        if first <= tick <= last
    ]
    marks.append(words((LEFT + RIGHT) / 2, HEIGHT - 4, text(x_name), "middle"))
    for line in lines:
        places = [(across(x), up(y)) for x, y in line.points]
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        marks.append(f'<polyline class="{line.kind}" points="{corners}"/>')
        for (x, _), each in zip(places, line.intervals, strict=False):
            marks.append(vertical(x, up(each.low), up(each.high)))
        if line.kind == "line" and len(places) <= _DOTS:
            marks += [dot(x, y, 2.6) for x, y in places]
    if chosen is not None:
        x, y = across(chosen[0]), up(chosen[1])
        marks.append(f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="6"/>')
    return svg(HEIGHT, marks, text(title)) + _legend(lines)


def _legend(lines: Sequence[Series]) -> str:
    named = [line for line in lines if line.name]
    if not named:
        return ""
    items = "".join(
        f'<li><svg viewBox="0 0 24 8" aria-hidden="true"><line class="{line.kind}" x1="0" x2="24" '
        f'y1="4" y2="4"/></svg>{text(line.name)}</li>'
        for line in named
    )
    return f'\n<ul class="legend">{items}</ul>'
