"""The part of `report.json` on few-shot curves."""

from __future__ import annotations

from dataclasses import dataclass

from embedcache.evaluation.intervals import Interval

__all__ = ["ShotCurve", "ShotPoint", "ShotScore"]


@dataclass(frozen=True)
class ShotScore:
    """A score of heads that were fitted on equally many rows of each class.

    Attributes:
        name: `accuracy`, `balanced accuracy` or `log-loss`.
        mean: Over the draws.
        spread: Standard deviation over the draws; None for one draw.
        interval: Of the mean, for other draws and other judged rows; None for one draw.
        draws: Of each draw.
    """

    name: str
    mean: float
    spread: float | None
    interval: Interval | None
    draws: tuple[float, ...]


@dataclass(frozen=True)
class ShotPoint:
    """Heads that were fitted on so many rows of each class.

    Attributes:
        shots: Rows of each class that were asked for.
        rows: Rows that a head was fitted on, at most.
        short: Classes with fewer rows than that, of which all are taken.
        scores: Accuracy first.
    """

    shots: int
    rows: int
    short: tuple[str, ...]
    scores: tuple[ShotScore, ...]


@dataclass(frozen=True)
class ShotCurve:
    """How good a head is with few labelled rows.

    Attributes:
        seeds: Number of draws.
        points: By rising number of rows.
    """

    seeds: int
    points: tuple[ShotPoint, ...]
