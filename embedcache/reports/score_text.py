"""Scores and their intervals as short texts: shares in percent, others as they are."""

from __future__ import annotations

from collections.abc import Iterable

from embedcache.evaluation.evaluate import Score
from embedcache.evaluation.intervals import Interval
from embedcache.reports.columns import columns

__all__ = ["bounds_text", "interval_text", "is_share", "score_lines", "value_text"]

_OTHERS = {"log-loss", "AUROC", "average precision"}


def is_share(name: str) -> bool:
    """Whether the score of that name is shown in percent."""
    return name not in _OTHERS


def value_text(score: Score, value: float | None) -> str:
    """A value of the score: its own, or that of the baseline."""
    if value is None:
        return "–"
    return f"{100 * value:.1f} %" if is_share(score.name) else f"{value:.3f}"


def interval_text(score: Score) -> str:
    """The score's interval."""
    return bounds_text(score.interval, percent=is_share(score.name))


def bounds_text(interval: Interval | None, *, percent: bool = True) -> str:
    """An interval, of shares in percent."""
    if interval is None:
        return "[–]"
    low, high = interval.low, interval.high
    return f"[{100 * low:.1f}, {100 * high:.1f}]" if percent else f"[{low:.3f}, {high:.3f}]"


def score_lines(scores: Iterable[Score], baseline: str) -> list[str]:
    """A table of scores with their intervals, beside what a baseline of that name gets."""
    rows = [
        [
            score.name,
            value_text(score, score.value),
            interval_text(score),
            value_text(score, score.baseline),
        ]
        for score in scores
    ]
    return columns([["score", "value", "95 % interval", baseline], *rows], "<><>")
