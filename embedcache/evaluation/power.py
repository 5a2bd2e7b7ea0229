"""What McNemar's mid-p test can see: its power, the least gain it detects, the rows it takes.

N is the number of rows that both classifiers answer. The gain is the difference of
their accuracies, the discordance the share of rows that just one of them has right.
"""

from __future__ import annotations

import numpy as np

__all__ = ["ALPHA", "POWER", "mcnemar_power", "minimum_detectable_gain", "rows_for_gain"]

ALPHA = 0.05
"""Two-sided level of the test."""

POWER = 0.8
"""How surely a gain has to be seen to count as detectable. Source: J. Cohen (1988),
*Statistical power analysis for the behavioral sciences*, section 2.4."""

_STEPS = 30  # of bisection: a gain to 1e-9
_WIDE = 9.0  # standard deviations of the number of discordant rows that are summed over
_MOST_ROWS = 100_000_000


def mcnemar_power(gain: float, discordance: float, rows: int, alpha: float = ALPHA) -> float:
    """Probability that the better classifier is found to be better.

    Exact: summed over the number of discordant rows, and for each over who has them
    right. A gain above the discordance raises the discordance to it.

    Source: Duffy (1984), *Asymptotic and exact power for the McNemar test and its
    analogue with R controls per case*, Biometrics 40, 1005–1015; for classifiers
    Card et al. (2020), *With little power comes great responsibility*, EMNLP.

    Args:
        gain: Of accuracy, 0 to 1.
        discordance: Share of rows that only one has right, 0 to 1.
        rows: N.
        alpha: Two-sided level.
    """
    from scipy.stats import binom

    discordance = max(gain, discordance)
    if discordance <= 0:
        return 0.0
    middle = rows * discordance
    reach = _WIDE * (middle * (1 - discordance)) ** 0.5 + 1
    low, high = max(0, int(middle - reach)), min(rows, int(middle + reach) + 1)
    counts = np.arange(low, high + 1)
    # The most rows of `counts` that the worse one may have right; −1 where even none is too many.
    edge = binom.ppf(alpha / 2, counts, 0.5)
    mid_p = 2 * binom.cdf(edge, counts, 0.5) - binom.pmf(edge, counts, 0.5)
    edge = np.where(mid_p <= alpha, edge, edge - 1)
    losing = (discordance - gain) / (2 * discordance)
    found = binom.cdf(edge, counts, losing) * (edge >= 0)
    return float(binom.pmf(counts, rows, discordance) @ found)


def minimum_detectable_gain(
    discordance: float, rows: int, alpha: float = ALPHA, power: float = POWER
) -> float | None:
    """The least gain that N rows show with such power; None where they show no gain whatever.

    Args:
        discordance: Share of rows that only one has right, if the gain is smaller.
        rows: N.
        alpha: Two-sided level.
        power: Probability of seeing it.
    """
    low, high = 0.0, 1.0
    if mcnemar_power(high, discordance, rows, alpha) < power:
        return None
    for _ in range(_STEPS):
        middle = (low + high) / 2
        enough = mcnemar_power(middle, discordance, rows, alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def rows_for_gain(
    gain: float, discordance: float, alpha: float = ALPHA, power: float = POWER
) -> int | None:
    """How many rows show a gain with such power; None where it would be more than 100 million.

    Args:
        gain: Of accuracy, above 0.
        discordance: Share of rows that only one has right.
        alpha: Two-sided level.
        power: Probability of seeing it.
    """
    high = 1
    while mcnemar_power(gain, discordance, high, alpha) < power:
        high *= 2
        if high > _MOST_ROWS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        enough = mcnemar_power(gain, discordance, middle, alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high
