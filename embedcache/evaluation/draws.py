"""`over_draws`: the mean of a score over random draws of training rows, and its interval.

R is the number of draws.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.intervals import LEVEL, Interval

__all__ = ["over_draws"]


def over_draws(values: NDArray[np.float64], by_rows: Interval | None) -> Interval | None:
    """Interval of the mean of `values`, where draws and judged rows both could have been others.

    The draws have Student's interval of R − 1 degrees of freedom, the rows the one given;
    the distances of their ends from the mean add as squares (Zou & Donner 2008,
    *Construction of confidence limits about effect measures: a general approach*,
    Statistics in Medicine 27).

    Args:
        values: (R,) the score of each draw, on the same judged rows.
        by_rows: Interval of the mean score for these draws, over judged rows alone.

    Returns:
        None for one draw, which says nothing of the next, or without `by_rows`.
    """
    if len(values) < 2 or by_rows is None:
        return None
    from scipy.special import stdtrit

    mean = float(values.mean())
    quantile = float(stdtrit(len(values) - 1, (1 + LEVEL) / 2))
    half = quantile * float(values.std(ddof=1)) / len(values) ** 0.5
    below, above = mean - by_rows.low, by_rows.high - mean
    return Interval(mean - (below**2 + half**2) ** 0.5, mean + (above**2 + half**2) ** 0.5)
