"""Pieces of HTML: escaped text, sections, tables."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from embedcache.evaluation.intervals import Interval
from embedcache.reports.escape import printable

__all__ = ["bounds", "inline", "pair", "percent", "section", "table", "text"]


def text(value: object) -> str:
    """Any value as text that means nothing to a browser, safe between tags and in attributes."""
    return html.escape(printable(str(value)))


def section(title: str, *parts: str) -> str:
    """A titled part of the page; nothing where there is nothing to show."""
    body = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{text(title)}</h2>\n{body}\n</section>" if body else ""


def pair(left: str, right: str) -> str:
    """Two sections beside each other, where the window is wide and both have something to show."""
    return f'<div class="pair">\n{left}\n{right}\n</div>' if left and right else left or right


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], numeric: str = "", *, kind: str = "plain"
) -> str:
    """A table of cells that are HTML already, in a box that scrolls where it is too wide.

    Args:
        head: Titles of the columns.
        rows: Cells.
        numeric: For each column `>` where cells are numbers.
        kind: Its class, for the style.
    """
    kinds = [' class="n"' if mark == ">" else "" for mark in numeric.ljust(len(head), "<")]
    lines = [f'<div class="wide"><table class="{kind}">', "<thead><tr>"]
    lines += [
        f'<th scope="col"{kind}>{title}</th>' for kind, title in zip(kinds, head, strict=True)
    ]
    lines.append("</tr></thead>\n<tbody>")
    for row in rows:
        cells = "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds, row, strict=True))
        lines.append(f"<tr>{cells}</tr>")
    lines.append("</tbody></table></div>")
    return "\n".join(lines)


def percent(value: float | None) -> str:
    """A share in percent, without the sign."""
    return "–" if value is None else f"{100 * value:.1f}"


def bounds(interval: Interval | None, *, share: bool = True) -> str:
    """An interval, of shares in percent."""
    if interval is None:
        return "[–]"
    if share:
        return f"[{percent(interval.low)}, {percent(interval.high)}]"
    return f"[{interval.low:.3f}, {interval.high:.3f}]"


def inline(name: str, *, longest: int = 60) -> str:
    """A name, its end cut off where it is too long, whole in the tooltip."""
    shown = printable(name)
    if len(shown) <= longest:
        return text(name)
    return f'<span title="{text(name)}">{html.escape(shown[: longest - 1])}…</span>'
