"""Simultaneous intervals for the differences between several models' losses on the same rows.

N is the number of rows, M the number of models, P = M (M − 1) / 2 the number of pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.units import row_units

__all__ = ["Differences", "simultaneous_differences"]

_DRAWS = 2_000
_CELLS = 1 << 22  # weights drawn at a time: 32 MiB


@dataclass(frozen=True, eq=False)
class Differences:
    """Every model's mean loss minus every other's, with intervals that all hold at once.

    Attributes:
        mean: (M, M) float64, [a, b] the loss of a minus that of b.
        half_width: (M, M) float64; infinite where there is one unit only.
        critical: By how many standard errors the interval of each pair reaches out.
    """

    mean: NDArray[np.float64]
    half_width: NDArray[np.float64]
    critical: float


def simultaneous_differences(
    losses: NDArray[np.float64],
    group: NDArray[np.int32],
    *,
    seed: int,
    confidence: float = 0.95,
) -> Differences:
    """Compare all pairs of models.

    The largest studentised difference over all pairs is bootstrapped over units, a
    group of rows or a row that has none, all models by the same draw (the max-T of
    Westfall & Young 1993, *Resampling-based multiple testing*). As all pairs are
    covered, so is the pair that the data themselves picked: the best and any other.

    Args:
        losses: (M, N), a row for each model.
        group: (N,) int32 codes, negative for none.
        seed: Of the draws.
        confidence: That all intervals hold.
    """
    m, n = losses.shape
    pairs = list(combinations(range(m), 2))
    mean, half_width = np.zeros((m, m)), np.zeros((m, m))
    if not pairs:
        return Differences(mean, half_width, 0.0)
    units = row_units(group)
    u = int(units.max()) + 1
    first, second = np.array(pairs).T
    difference = losses[first] - losses[second]
    means = difference.mean(axis=1)
    sums: NDArray[np.float64] = np.stack(
        [np.bincount(units, row - row.mean(), u).astype(np.float64) for row in difference], axis=1
    )
    error = np.sqrt(u / max(u - 1, 1) * np.square(sums).sum(axis=0)) / n
    error = np.where(error > n * np.finfo(np.float64).eps * np.abs(losses).max(), error, 0)
    critical = _critical(sums, error * n, seed, confidence)
    half = critical * error if u > 1 else np.full(len(pairs), np.inf)
    mean[first, second], mean[second, first] = means, -means
    half_width[first, second] = half_width[second, first] = half
    return Differences(mean, half_width, critical)


def _critical(
    sums: NDArray[np.float64], error: NDArray[np.float64], seed: int, confidence: float
) -> float:
    """Quantile of the largest |t| over the pairs that differ at all."""
    differs = error > 0
    if not differs.any():
        return 0.0
    scaled = sums[:, differs] / error[differs]
    rng = np.random.default_rng(seed)
    largest = np.empty(_DRAWS)
    step = max(1, _CELLS // len(sums))
    for at in range(0, _DRAWS, step):
        # Independent Poisson counts in place of one multinomial draw: the centred sums
        # make up for a total that varies.
        weight = rng.poisson(1.0, (min(step, _DRAWS - at), len(sums))).astype(np.float64)
        largest[at : at + step] = np.abs(weight @ scaled).max(axis=1)
    return float(np.quantile(largest, confidence))
