"""`choose_threshold`: answer only the rows that are sure enough; `measure`: how that went.

N is the number of rows, K the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.intervals import LEVEL, Interval, share_interval

__all__ = ["Abstention", "Answered", "Threshold", "choose_threshold", "measure"]

_CANDIDATES = 20
"""Thresholds: those that answer a twentieth of the rows, two, three, …, all."""

_STARTS = (4, 8, 12, 16)
"""Where the walks begin, in twentieths: sure enough to pass, and rows enough to show it."""


@dataclass(frozen=True)
class Threshold:
    """When to answer, and what is known of it from the rows that it was chosen on.

    Attributes:
        wanted: The precision that was asked for.
        threshold: Answer where the largest probability is at least this; None where no
            threshold can be shown to suffice.
        coverage: Share of the rows that get an answer.
        precision: Share of right answers among them, None without a threshold.
        bound: What the precision is at least, with 95 % confidence; None likewise.
    """

    wanted: float
    threshold: float | None
    coverage: float
    precision: float | None
    bound: float | None


@dataclass(frozen=True)
class Answered:
    """How a threshold went on rows that had no part in its choice.

    Attributes:
        rows: Number of rows.
        answered: Those with an answer.
        coverage: Their share.
        coverage_interval: Of that share; None for too few rows.
        precision: Share of right answers among them, None without an answer.
        precision_interval: Of that share; None for too few answers.
    """

    rows: int
    answered: int
    coverage: float
    coverage_interval: Interval | None
    precision: float | None
    precision_interval: Interval | None


@dataclass(frozen=True)
class Abstention:
    """When a head answers, and how that went.

    Attributes:
        chosen: On the training rows, out of fold.
        judged: Measured on the judged rows.
        folds_without: Outer folds whose own training rows showed no threshold to suffice;
            they count as answering nothing.
    """

    chosen: Threshold
    judged: Answered
    folds_without: int


def choose_threshold(
    labels: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    group: NDArray[np.int32],
    wanted: float,
) -> Threshold:
    """The lowest threshold whose precision is shown to be at least `wanted`.

    A walk goes from a strict threshold to laxer ones while the one-sided Wilson bound
    of each is at least `wanted`, and ends at the first that fails: fixed-sequence tests
    need no correction for the number of steps, only for the number of walks. The plain
    choice, the lowest threshold with enough right answers among these rows, misses the
    wanted precision on new rows about half of the time.

    Source: Angelopoulos, Bates, Candès, Jordan & Lei (2021), *Learn then test:
    calibrating predictive algorithms to achieve risk control*, section 3.

    Args:
        labels: (N,) true classes in 0 to K − 1.
        probabilities: (N, K) of heads that had not seen the row.
        group: (N,) int32 codes, negative for none.
        wanted: Between 0 and 1.
    """
    sure = probabilities.max(axis=1)
    hit = probabilities.argmax(axis=1) == labels
    falling = np.sort(sure)[::-1]
    level = 1 - 2 * (1 - LEVEL) / len(_STARTS)  # two-sided, for one side of each walk
    best: Threshold | None = None
    for start in _STARTS:
        for number in range(start, _CANDIDATES + 1):
            threshold = falling[-(-number * len(sure) // _CANDIDATES) - 1]
            answered = sure >= threshold
            interval = share_interval(hit[answered], group[answered], level)
            if interval is None or interval.low < wanted:
                break
            coverage = float(answered.mean())
            if best is None or coverage > best.coverage:
                precision = float(hit[answered].mean())
                best = Threshold(wanted, float(threshold), coverage, precision, interval.low)
    return best or Threshold(wanted, None, 0.0, None, None)


def measure(
    labels: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    group: NDArray[np.int32],
    threshold: NDArray[np.float64],
) -> Answered:
    """How often rows are answered, and how often rightly.

    Args:
        labels: (N,) true classes in 0 to K − 1, N at least 1.
        probabilities: (N, K) of heads that had not seen the row.
        group: (N,) int32 codes, negative for none.
        threshold: (N,) from which probability on the row is answered; inf for never.
    """
    answered = probabilities.max(axis=1) >= threshold
    right = probabilities.argmax(axis=1)[answered] == labels[answered]
    return Answered(
        len(labels),
        int(answered.sum()),
        float(answered.mean()),
        share_interval(answered, group),
        float(right.mean()) if len(right) else None,
        share_interval(right, group[answered]),
    )
