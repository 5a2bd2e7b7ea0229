"""What twice the data would bring, from the errors at 1/4, 1/2 and all of them.

N is the number of rows, S the number of sizes, U the number of units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.units import row_units

__all__ = ["DOUBLING_LEVEL", "Doubling", "doubling"]

DOUBLING_LEVEL = 0.95
"""Of the one-sided lower bound."""

_DRAWS = 1_000


@dataclass(frozen=True)
class Doubling:
    """What twice the rows promise.

    Attributes:
        gain: Of accuracy.
        low: Its one-sided lower bound, at `DOUBLING_LEVEL`.
    """

    gain: float
    low: float


def doubling(wrong: NDArray[np.bool_], group: NDArray[np.int32], *, seed: int) -> Doubling:
    """Continue the gains of the last two doublings.

    An error c + a · n^−b shrinks by gains that fall by the same factor at every
    doubling, so the next gain is the last one, squared, over the one before. It is
    never taken for larger than the last: a curve that steepens is noise. The bound is
    of a bootstrap over units of the whole formula; that another draw of training rows
    would give another curve is not in it.

    Source of the form: Cortes, Jackel, Solla, Vapnik & Denker (1993), *Learning curves:
    asymptotic values and rate of convergence*, NIPS 6. Fitting its three parameters to
    four noisy points was left out: the fits of Viering & Loog (2023), *The shape of
    learning curves: a review*, often fail.

    Args:
        wrong: (S, N), S ≥ 3, errors at sizes that double from row to row.
        group: (N,) int32 codes, negative for none.
        seed: Of the bootstrap.
    """
    units = row_units(group)
    u = int(units.max()) + 1
    sums = np.stack([np.bincount(units, row, u) for row in wrong[-3:]], axis=1)
    counts = np.bincount(units, minlength=u).astype(np.float64)
    rng = np.random.default_rng(seed)
    drawn = np.empty(_DRAWS)
    for at in range(_DRAWS):
        weight = rng.poisson(1.0, u).astype(np.float64)
        drawn[at] = _next_gain(weight @ sums / max(1.0, float(weight @ counts)))
    gain = _next_gain(sums.sum(axis=0) / counts.sum())
    return Doubling(gain, float(np.quantile(drawn, 1 - DOUBLING_LEVEL)))


def _next_gain(errors: NDArray[np.float64]) -> float:
    before, last = float(errors[0] - errors[1]), float(errors[1] - errors[2])
    if last <= 0:
        return 0.0
    factor = min(1.0, last / before) if before > 0 else 1.0
    return min(last * factor, float(errors[2]))
