"""The page's few-shot curve."""

from __future__ import annotations

import math

from embedcache.heads.report import FitReport
from embedcache.heads.shot_records import ShotCurve, ShotPoint
from embedcache.reports.page.parts import bounds, inline, percent, section, table

__all__ = ["few_shot"]

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 360, 230, 46, 350, 12, 196
_MOST_NAMED = 5


def few_shot(report: FitReport) -> str:
    """Accuracy along the rows of each class that a head was fitted on."""
    curve = report.shots
    if curve is None:
        return ""
    rows = [_row(point) for point in curve.points]
    own = report.evaluation
    scores = [own.score(name) for name in ("accuracy", "balanced accuracy", "log-loss")]
    rows.append(
        [
            "all",
            f"{percent(scores[0].value)}&nbsp;%",
            bounds(scores[0].interval),
            "",
            f"{percent(scores[1].value)}&nbsp;%",
            "–" if scores[2].value is None else f"{scores[2].value:.3f}",
            f"{report.rows.train:,}",
        ]
    )
    head = ["per class", "accuracy", "95 % interval", "spread", "balanced", "log-loss", "rows"]
    short = [
        f'<p class="soft small">Fewer than {point.shots:,} training rows, all of them taken: '
        + ", ".join(inline(name, longest=30) for name in point.short[:_MOST_NAMED])
        + (", …" if len(point.short) > _MOST_NAMED else "")
        + ".</p>"
        for point in curve.points
        if point.short
    ]
    draws = "draw" if curve.seeds == 1 else "draws"
    return section(
        "With few labels",
        _chart(curve, scores[0].value or 0.0),
        table(head, rows, ">>>>>>>"),
        f'<p class="soft small">Mean of {curve.seeds} class-balanced {draws} of training rows, '
        "judged on the same rows as the head, which is the dashed line. The spread is over draws; "
        "the interval is for other draws and other judged rows. Each draw chooses for itself; with "
        "one row of a class, by one row more.</p>",
        *short,
    )


def _row(point: ShotPoint) -> list[str]:
    accuracy, balanced, loss = point.scores
    spread = "–" if accuracy.spread is None else f"± {percent(accuracy.spread)}"
    return [
        f"{point.shots:,}",
        f"{percent(accuracy.mean)}&nbsp;%",
        bounds(accuracy.interval),
        spread,
        f"{percent(balanced.mean)}&nbsp;%",
        f"{loss.mean:.3f}",
        f"{point.rows:,}",
    ]


def _chart(curve: ShotCurve, own: float) -> str:
    points = [(point, point.scores[0]) for point in curve.points]
    ends = [own, *(value for _, score in points for value in score.draws)]
    ends += [each for _, s in points if s.interval for each in (s.interval.low, s.interval.high)]
    low, high = math.floor(10 * min(ends)) / 10, math.ceil(10 * max(ends)) / 10
    high = max(high, low + 0.1)
    first, last = math.log(points[0][0].shots), math.log(points[-1][0].shots)

    def x(shots: int) -> float:
        return (
            _LEFT + 20 + (_RIGHT - _LEFT - 40) * (math.log(shots) - first) / ((last - first) or 1.0)
        )

    def y(share: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (share - low) / (high - low)

    marks = []
    count = round(10 * (high - low))
    for step in range(0, count + 1, max(1, -(-count // 5))):
        at = y(low + step / 10)
        marks.append(f'<line class="axis" x1="{_LEFT}" x2="{_RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        marks.append(_text(_LEFT - 5, at + 4, f"{100 * low + 10 * step:.0f} %", "end"))
    guide = f'x1="{_LEFT}" x2="{_RIGHT}" y1="{y(own):.1f}" y2="{y(own):.1f}"'
    marks.append(f'<line class="guide" {guide}/>')
    line = " ".join(f"{x(point.shots):.1f},{y(score.mean):.1f}" for point, score in points)
    marks.append(f'<polyline class="line" points="{line}"/>')
    for point, score in points:
        at = x(point.shots)
        if score.interval is not None:
            ends_of = f'y1="{y(score.interval.low):.1f}" y2="{y(score.interval.high):.1f}"'
            marks.append(f'<line class="error" x1="{at:.1f}" x2="{at:.1f}" {ends_of}/>')
        marks.append(f'<circle class="dot" cx="{at:.1f}" cy="{y(score.mean):.1f}" r="3.5"/>')
        marks.append(_text(at, _BOTTOM + 15, f"{point.shots:,}", "middle"))
    marks.append(_text((_LEFT + _RIGHT) / 2, _HEIGHT - 4, "training rows of each class", "middle"))
    title = "Accuracy along the training rows of each class"
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title}">\n'
        f"<title>{title}</title>\n" + "\n".join(marks) + "\n</svg>"
    )


def _text(x: float, y: float, label: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{label}</text>'
