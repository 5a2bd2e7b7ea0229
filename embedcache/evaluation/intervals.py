"""Confidence intervals: Wilson for shares of rows, the bootstrap for other scores.

N is the number of rows, U the number of units (groups, or rows without one),
S the number of scores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.units import row_units

__all__ = ["LEVEL", "MIN_UNITS", "Interval", "bootstrap", "share_interval", "wilson"]

LEVEL = 0.95
"""Confidence level of every interval."""

MIN_UNITS = 5
"""With fewer rows (or groups) of a class there is no interval: it would be a guess."""

_MAX_REPLICATES = 2_000
_MIN_REPLICATES = 200  # a 2.5 % quantile of fewer is noise
_DRAWS = 20_000_000  # rows drawn in all: large test sets get fewer replicates and need fewer
_TOGETHER = 2**16
"""Rows of all replicates that are scored at once: one after another, those of 135 rows took 14
times as long, for numpy's calls."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval at `LEVEL`."""

    low: float
    high: float


def wilson(successes: float, total: float, level: float = LEVEL) -> Interval:
    """Wilson's score interval of a share.

    Keeps its coverage near 0 and 1, where a percentile bootstrap has none.

    Source: E. B. Wilson (1927), *Probable inference, the law of succession, and
    statistical inference*, JASA 22, 209–212; recommended by Brown, Cai &
    DasGupta (2001), *Interval estimation for a binomial proportion*.

    Args:
        successes: Number of successes; need not be whole, see `share_interval`.
        total: Number of trials, above 0.
        level: Confidence that both ends hold.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = successes / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = (
        z / (1 + z * z / total) * (share * (1 - share) / total + z * z / (4 * total * total)) ** 0.5
    )
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def share_interval(
    success: NDArray[np.bool_] | NDArray[np.float64], group: NDArray[np.int32], level: float = LEVEL
) -> Interval | None:
    """Wilson's interval of the share of successes among rows, some of which belong together.

    Rows of one group are not independent, so the number of trials is the
    effective one: N divided by Kish's design effect (L. Kish 1965, *Survey
    sampling*; for intervals Korn & Graubard 1998), never less than 1.

    Args:
        success: (N,) bool, or shares of successes over several heads: their mean is taken
            for a share of as many rows, which is a little too wide.
        group: (N,) int32 codes, negative for none.
        level: Confidence that both ends hold.

    Returns:
        None where there are fewer than `MIN_UNITS` units.
    """
    units = row_units(group)
    trials, share = len(success), float(np.mean(success)) if len(success) else 0.0
    count = int(units.max(initial=-1)) + 1
    if count < MIN_UNITS:
        return None
    effective = float(trials)
    if count < trials:
        sums = np.bincount(units, weights=success - share)
        variance = count / (count - 1) * float(sums @ sums) / trials**2
        binomial = share * (1 - share) / trials
        # Without a failure (or a success) nothing shows how alike a group's rows are.
        effective = trials / max(1.0, variance / binomial) if binomial > 0 else float(count)
    return wilson(share * effective, effective, level)


def bootstrap(
    scores: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    labels: NDArray[np.integer],
    group: NDArray[np.int32],
    *,
    seed: int,
    columns: int = 1,
) -> list[Interval | None]:
    """Percentile bootstrap, stratified by class, drawing whole groups.

    A group's stratum is its most frequent class; strata with fewer than
    `MIN_UNITS` units are drawn as one, as a unit alone in its stratum would
    never vary.

    Source: Efron & Tibshirani (1993), *An introduction to the bootstrap*,
    chapters 13 and 16.

    Args:
        scores: From row weights of B replicates, (B, N) float64 counts of how often each
            row was drawn, to (B, S) scores, NaN where undefined.
        labels: (N,) true classes.
        group: (N,) int32 codes, negative for none.
        seed: Of the draws.
        columns: How many columns of the rows are scored: of many, fewer replicates are drawn.

    Returns:
        S intervals, None where a score is undefined in most replicates.
    """
    units = row_units(group)
    stratum = _strata(units, labels)
    order = np.argsort(stratum, kind="stable")
    _, first, sizes = np.unique(stratum[order], return_index=True, return_counts=True)
    starts, spans = np.repeat(first, sizes), np.repeat(sizes, sizes)
    replicates = min(_MAX_REPLICATES, max(_MIN_REPLICATES, _DRAWS // (len(labels) * columns)))
    rng = np.random.default_rng(seed)
    values, count, together = [], len(order), max(1, _TOGETHER // len(labels))
    for at in range(0, replicates, together):
        size = min(together, replicates - at)
        drawn = order[starts + (rng.random((size, count)) * spans).astype(np.int64)]
        cells = (drawn + count * np.arange(size)[:, None]).ravel()
        weights = np.bincount(cells, minlength=size * count).reshape(size, count)
        values.append(scores(weights[:, units].astype(np.float64)))
    tail = (1 - LEVEL) / 2
    return [_percentiles(column, tail) for column in np.concatenate(values).T]


def _strata(units: NDArray[np.int64], labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Each unit's most frequent class, (U,) int64; −1 for the classes of few units."""
    k = int(labels.max()) + 1
    pairs, counts = np.unique(units * k + labels, return_counts=True)
    rising = pairs[np.argsort(counts, kind="stable")]
    stratum = np.empty(int(units.max()) + 1, np.int64)
    stratum[rising // k] = rising % k  # the last, most frequent class of a unit stays
    few = np.bincount(stratum, minlength=k) < MIN_UNITS
    return np.where(few[stratum], -1, stratum)


def _percentiles(values: NDArray[np.float64], tail: float) -> Interval | None:
    defined = values[np.isfinite(values)]
    if 2 * len(defined) < len(values):
        return None
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(float(low), float(high))
