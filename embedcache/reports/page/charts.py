"""The page's drawings as inline SVG: text and lines that a browser scales and a style colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from embedcache.evaluation.calibration import Reliability
from embedcache.evaluation.intervals import Interval
from embedcache.heads.choice_records import SelectionRecord
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

__all__ = ["Mark", "bar", "curve", "line_chart", "reliability_diagram", "strip"]


def strip(
    value: float,
    interval: Interval | None,
    baseline: float | None,
    score: str = "Accuracy",
    simple: str = "majority",
) -> str:
    """A share on a line from 0 to 100 %, with its interval and the baseline.

    The label of the baseline is at its end of the line, whatever its value, so that
    nothing overlaps.

    Args:
        value: The share.
        interval: Of it.
        baseline: The same score of the baseline.
        score: Its name.
        simple: What is written at the baseline.
    """
    marks = ['<rect class="track" x="4" y="10" width="352" height="8" rx="4"/>']
    if interval is not None:
        low, high = 4 + 352 * interval.low, 4 + 352 * interval.high
        marks.append(
            f'<rect class="band" x="{low:.1f}" y="6" width="{high - low:.1f}" height="16" rx="3"/>'
        )
    marks.append(f'<circle class="dot" cx="{4 + 352 * value:.1f}" cy="14" r="5"/>')
    if baseline is not None:
        at = 4 + 352 * baseline
        anchor = "end" if baseline > 0.5 else "start"
        marks.append(f'<line class="tick" x1="{at:.1f}" x2="{at:.1f}" y1="4" y2="24"/>')
        marks.append(f'<text x="{at:.1f}" y="37" text-anchor="{anchor}">{simple}</text>')
    return svg(40, marks, f"{score}, its interval and the baseline: {simple}", kind="strip")


def bar(value: float, interval: Interval | None) -> str:
    """A share as a small bar with a whisker."""
    marks = [
        '<rect class="track" width="100" height="8" y="1" rx="2"/>',
        f'<rect class="fill" width="{100 * value:.1f}" height="8" y="1" rx="2"/>',
    ]
    if interval is not None:
        low, high = 100 * interval.low, 100 * interval.high
        marks.append(f'<line class="whisker" x1="{low:.1f}" x2="{high:.1f}" y1="5" y2="5"/>')
        marks += [
            f'<line class="whisker" x1="{at:.1f}" x2="{at:.1f}" y1="2" y2="8"/>'
            for at in (low, high)
        ]
    return f'<svg viewBox="-1 0 102 10" aria-hidden="true">{"".join(marks)}</svg>'


def curve(selection: SelectionRecord, loss_name: str) -> str:
    """The out-of-fold loss along a model's first parameter, a line for each setting of the others.

    Whiskers are standard errors of the paired distance to the best. Nothing for a model
    without parameters, or where only one setting was tried.
    """
    scores = selection.scores
    if len(scores) < 2 or not selection.setting:
        return ""
    name = next(iter(selection.setting))
    values = [score.setting[name] for score in scores]
    logarithmic = min(values) > 0
    places = [math.log10(value) if logarithmic else value for value in values]
    first, last = min(places), max(places)
    errors = [e if math.isfinite(e := score.difference_error) else 0.0 for score in scores]
    low = min(score.loss - error for score, error in zip(scores, errors, strict=True))
    high = max(score.loss + error for score, error in zip(scores, errors, strict=True))
    ticks = round_ticks(low, high)
    low, high = ticks[0], ticks[-1]

    def x(place: float) -> float:
        return LEFT + 8 + (RIGHT - LEFT - 16) * (place - first) / ((last - first) or 1.0)

    def y(loss: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (loss - low) / ((high - low) or 1.0)

    marks = [horizontal(y(tick), f"{tick:.3g}") for tick in ticks]
    marks += [words(x(at), BOTTOM + 15, label, "middle") for at, label in _places(places, values)]
    marks.append(words((LEFT + RIGHT) / 2, HEIGHT - 4, text(name), "middle"))
    lines: dict[tuple[float, ...], list[str]] = {}
    for place, score, error in zip(places, scores, errors, strict=True):
        at, height = x(place), y(score.loss)
        others = tuple(value for key, value in score.setting.items() if key != name)
        lines.setdefault(others, []).append(f"{at:.1f},{height:.1f}")
        marks.append(vertical(at, y(score.loss - error), y(score.loss + error)))
        marks.append(dot(at, height, 2.6))
        if score.setting == selection.setting:
            marks.append(f'<circle class="ring" cx="{at:.1f}" cy="{height:.1f}" r="6"/>')
            side = "end" if at > (LEFT + RIGHT) / 2 else "start"
            above = max(TOP + 6, y(score.loss + error) - 10)
            marks.append(words(at, above, "chosen", side, kind="chosen"))
    marks += [
        f'<polyline class="line" points="{" ".join(points)}"/>'
        for points in lines.values()
        if len(points) > 1
    ]
    return svg(HEIGHT, marks, f"Out-of-fold {loss_name} along {text(name)}")


@dataclass(frozen=True)
class Mark:
    """A point of a line chart.

    Attributes:
        x: Above 0; the axis is logarithmic.
        y: A share.
        interval: Of y; None for none.
    """

    x: float
    y: float
    interval: Interval | None = None


def line_chart(marks: Sequence[Mark], x_name: str, title: str, guide: float | None = None) -> str:
    """Shares in percent along a logarithmic axis, a dot and its interval for each.

    Args:
        marks: From left to right, two or more.
        x_name: What the axis below counts.
        title: For those who don't see it.
        guide: A share to draw a dashed line at.
    """
    ends = [end for m in marks if m.interval for end in (m.interval.low, m.interval.high)]
    values = [100 * value for value in (*ends, *(m.y for m in marks))]
    values += [] if guide is None else [100 * guide]
    ticks = [tick for tick in round_ticks(min(values), max(values)) if tick <= 100]
    low, high = ticks[0], max(ticks[-1], *values)
    first, last = math.log(marks[0].x), math.log(marks[-1].x)

    def x(value: float) -> float:
        return LEFT + 14 + (RIGHT - LEFT - 28) * (math.log(value) - first) / (last - first)

    def y(share: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (100 * share - low) / ((high - low) or 1.0)

    drawn = [horizontal(y(tick / 100), f"{tick:g}") for tick in ticks]
    if guide is not None:
        at = f"{y(guide):.1f}"
        drawn.append(f'<line class="guide" x1="{LEFT}" x2="{RIGHT}" y1="{at}" y2="{at}"/>')
    points = " ".join(f"{x(m.x):.1f},{y(m.y):.1f}" for m in marks)
    drawn.append(f'<polyline class="line" points="{points}"/>')
    for m in marks:
        if m.interval is not None:
            drawn.append(vertical(x(m.x), y(m.interval.low), y(m.interval.high)))
        drawn.append(dot(x(m.x), y(m.y), 2.6))
        drawn.append(words(x(m.x), BOTTOM + 15, f"{m.x:,.4g}", "middle"))
    drawn.append(words((LEFT + RIGHT) / 2, HEIGHT - 4, text(x_name), "middle"))
    return svg(HEIGHT, drawn, text(title))


def reliability_diagram(found: Reliability, what: str = "probability of the answer") -> str:
    """How often what has a probability holds, beside the diagonal of perfect calibration."""

    def x(share: float) -> float:
        return LEFT + (RIGHT - LEFT) * share

    def y(share: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * share

    marks = [horizontal(y(tick), f"{100 * tick:.0f} %") for tick in (0, 0.25, 0.5, 0.75, 1)]
    marks += [words(x(t), BOTTOM + 15, f"{100 * t:.0f}", "middle") for t in (0, 0.25, 0.5, 0.75, 1)]
    marks.append(words((LEFT + RIGHT) / 2, HEIGHT - 4, f"{what}, %", "middle"))
    marks.append(f'<line class="guide" x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}"/>')
    most = max(entry.rows for entry in found.bins)
    for entry in found.bins:
        at, height = x(entry.confidence), y(entry.accuracy)
        if entry.interval is not None:
            marks.append(vertical(at, y(entry.interval.low), y(entry.interval.high)))
        marks.append(dot(at, height, 2 + 4 * math.sqrt(entry.rows / most)))
    return svg(HEIGHT, marks, "Reliability diagram")


def _places(places: list[float], values: list[float]) -> list[tuple[float, str]]:
    """Where the axis is labelled: at decades if there are two or more, else at the values."""
    if min(values) > 0:
        powers = range(math.ceil(min(places)), math.floor(max(places)) + 1)
        if len(powers) > 1:
            return [(power, f"1e{power}" if power else "1") for power in powers]
    distinct = sorted(set(zip(places, values, strict=True)))
    step = math.ceil(len(distinct) / 8)
    return [(place, f"{value:.3g}") for place, value in distinct[::step]]
