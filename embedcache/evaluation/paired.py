"""Two classifiers on the same rows: is one right more often than the other?

b is the number of rows that only the first has right, c of those that only the
second has right, N the number of all rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from embedcache.evaluation.intervals import Interval

__all__ = ["holm", "mcnemar_mid_p", "score_interval"]

_STEPS = 60  # of bisection: an interval of width 2 shrinks below rounding


def mcnemar_mid_p(b: int, c: int) -> float:
    """Two-sided mid-p value of McNemar's test that both are right equally often.

    Nearly as safe as the exact test, and less timid. Source: Fagerland, Lydersen &
    Laake (2013), *The McNemar test for binary matched-pairs data: mid-p and asymptotic
    are better than exact conditional*, BMC Medical Research Methodology 13:91.
    """
    n, few = b + c, min(b, c)
    counts = np.arange(1, few + 1)
    # Logarithms of the binomial probabilities of 0 to `few` out of n, at one half.
    steps = np.log((n - counts + 1) / counts)
    chances = np.exp(np.r_[0.0, np.cumsum(steps)] - n * np.log(2))
    return float(min(1.0, 2 * chances.sum() - chances[-1]))


def score_interval(b: int, c: int, total: int, z: float) -> Interval:
    """Score interval of the difference of two shares of the same rows, (b − c) / N.

    Holds its level for few and for no discordant rows, where the bootstrap has none.
    Source: Tango (1998), *Equivalence test and confidence interval for the difference
    in proportions for the paired-sample design*, Statistics in Medicine 17, 891–908.

    Args:
        b: Rows that only the first has right.
        c: Rows that only the second has right.
        total: N, above 0.
        z: Quantile of the standard normal distribution: 1.96 for 95 %.
    """

    def statistic(difference: float) -> float:
        linear = (2 * total - b + c) * difference - b - c
        root = linear**2 + 8 * total * c * difference * (1 - difference)
        share = (max(0.0, root) ** 0.5 - linear) / (4 * total)
        variance = total * (2 * share + difference * (1 - difference))
        above = b - c - total * difference
        if variance <= 0:  # a difference of 1 or −1 leaves nothing to vary
            return 0.0 if above == 0 else float(np.copysign(np.inf, above))
        return float(above / variance**0.5)

    point = (b - c) / total
    return Interval(
        _bisect(lambda d: statistic(d) <= z, -1.0, point),
        _bisect(lambda d: statistic(d) < -z, point, 1.0),
    )


def _bisect(is_above: Callable[[float], bool], low: float, high: float) -> float:
    """Where a condition that is false below becomes true."""
    if is_above(low):
        return low
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if is_above(middle) else (middle, high)
    return high


def holm(values: list[float]) -> list[float]:
    """Adjust p values of several tests so that all of them hold together.

    Source: Holm (1979), *A simple sequentially rejective multiple test procedure*.
    """
    order = sorted(range(len(values)), key=values.__getitem__)
    adjusted, largest = [0.0] * len(values), 0.0
    for rank, which in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - rank) * values[which]))
        adjusted[which] = largest
    return adjusted
