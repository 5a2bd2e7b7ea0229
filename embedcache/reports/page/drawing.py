"""What the page's drawings are made of: the frame, and lines, points and words as SVG."""

from __future__ import annotations

import math

__all__ = [
    "BOTTOM",
    "HEIGHT",
    "LEFT",
    "RIGHT",
    "TOP",
    "dot",
    "horizontal",
    "round_ticks",
    "svg",
    "vertical",
    "words",
]

WIDTH, HEIGHT = 360, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 350, 12, 196
"""In the units of the drawing: its size, and the frame within which data are drawn."""


def round_ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers that span the range."""
    raw = ((high - low) or abs(high) or 1.0) / 4
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw)
    return [step * i for i in range(math.floor(low / step), math.ceil(high / step) + 1)]


def vertical(x: float, low: float, high: float) -> str:
    """A whisker."""
    return f'<line class="error" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'


def dot(x: float, y: float, radius: float) -> str:
    """A point."""
    return f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>'


def horizontal(y: float, shown: str) -> str:
    """A line of the grid and the figure beside it, which is HTML."""
    line = f'<line class="axis" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return line + words(LEFT - 5, y + 4, shown, "end")


def words(x: float, y: float, shown: str, anchor: str, *, kind: str = "") -> str:
    """Words, which are HTML, at a place."""
    chosen = f' class="{kind}"' if kind else ""
    return f'<text{chosen} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{shown}</text>'


def svg(height: int, marks: list[str], title: str, *, kind: str = "chart") -> str:
    """A drawing as wide as all others."""
    body = "\n".join(marks)
    return (
        f'<svg class="{kind}" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">\n'
        f"<title>{title}</title>\n{body}\n</svg>"
    )
