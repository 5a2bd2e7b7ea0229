"""`reliability`: how far probabilities are from how often what they are of holds.

N is the number of rows, K the number of classes, or of labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.intervals import Interval, share_interval
from embedcache.evaluation.units import row_units

__all__ = ["BINS", "Reliability", "ReliabilityBin", "label_reliability", "reliability"]

BINS = 15
"""As in Guo et al. 2017, and so comparable with what others report."""


@dataclass(frozen=True)
class ReliabilityBin:
    """The rows whose answer, or the rows and labels whose presence, has a probability in a range.

    Attributes:
        low: Lower end, exclusive but for 0.
        high: Upper end, inclusive.
        rows: Number of rows, or of pairs of a row and a label.
        confidence: Mean probability.
        accuracy: Share of right answers, or of rows that have the label.
        interval: Of that share; None for too few rows.
    """

    low: float
    high: float
    rows: int
    confidence: float
    accuracy: float
    interval: Interval | None


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram.

    Attributes:
        ece: Expected calibration error: mean distance of confidence and accuracy,
            weighted by rows. With few rows in a bin it is too large even for
            perfect probabilities.
        bins: Those with rows, rising.
    """

    ece: float
    bins: tuple[ReliabilityBin, ...]


def reliability(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating], group: NDArray[np.int32]
) -> Reliability:
    """The diagram of the answers' probabilities in `BINS` ranges of equal width.

    Source: Guo, Pleiss, Sun & Weinberger (2017), *On calibration of modern neural
    networks*, ICML, equation 3.

    Args:
        labels: (N,) true classes in 0 to K − 1, N at least 1.
        probabilities: (N, K).
        group: (N,) int32 codes, negative for none.
    """
    sure = probabilities.max(axis=1).astype(np.float64)
    return _binned(sure, probabilities.argmax(axis=1) == labels, group)


def label_reliability(
    truth: NDArray[np.bool_], probabilities: NDArray[np.floating], group: NDArray[np.int32]
) -> Reliability:
    """The diagram of the labels' probabilities, all labels together.

    The labels of one row are not independent, and neither are the rows of a group: the
    intervals take each such unit for one group.

    Args:
        truth: (N, K), whether the row has the label; N and K at least 1.
        probabilities: (N, K) that it has.
        group: (N,) int32 codes, negative for none.
    """
    units = np.repeat(row_units(group), truth.shape[1]).astype(np.int32)
    return _binned(probabilities.ravel().astype(np.float64), truth.ravel(), units)


def _binned(
    sure: NDArray[np.float64], hit: NDArray[np.bool_], group: NDArray[np.int32]
) -> Reliability:
    which = np.clip(np.ceil(sure * BINS).astype(np.int64) - 1, 0, BINS - 1)
    bins = []
    for number in np.unique(which):
        inside = which == number
        bins.append(
            ReliabilityBin(
                float(number / BINS),
                float((number + 1) / BINS),
                int(inside.sum()),
                float(sure[inside].mean()),
                float(hit[inside].mean()),
                share_interval(hit[inside], group[inside]),
            )
        )
    ece = sum(entry.rows * abs(entry.accuracy - entry.confidence) for entry in bins) / len(hit)
    return Reliability(float(ece), tuple(bins))
