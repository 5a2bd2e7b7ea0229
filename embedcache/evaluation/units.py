"""Units: what is independent of what, a group of rows or a row that has no group.

N is the number of rows, U the number of units.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["paired_difference", "row_units"]


def row_units(group: NDArray[np.int32]) -> NDArray[np.int64]:
    """The unit of every row, (N,) int64 in 0 to U − 1.

    Args:
        group: (N,) int32 codes, negative for a row that is a unit of its own.
    """
    alone = np.arange(len(group), dtype=np.int64) + group.max(initial=-1) + 1
    return np.unique(np.where(group < 0, alone, group), return_inverse=True)[1]


def paired_difference(
    loss: NDArray[np.float64], reference: NDArray[np.float64], group: NDArray[np.int32]
) -> tuple[float, float]:
    """Mean of `loss − reference` over the rows, and its standard error.

    Both losses, (N,) float64, are of the same rows, so what makes a row hard
    cancels out. Rows of one group err together: the error is taken over units
    (the cluster-robust variance of a mean; Cameron & Miller 2015, *A
    practitioner's guide to cluster-robust inference*).
    """
    difference = loss - reference
    mean = float(difference.mean())
    sums = np.bincount(row_units(group), weights=difference - mean)
    if len(sums) < 2:
        return mean, float("inf")
    variance = len(sums) / (len(sums) - 1) * float(sums @ sums) / len(difference) ** 2
    return mean, variance**0.5
