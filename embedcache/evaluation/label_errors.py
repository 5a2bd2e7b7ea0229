"""`label_errors`: rows whose label is probably wrong, by confident learning.

N is the number of rows, K the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LabelErrors", "label_errors"]


@dataclass(frozen=True, eq=False)
class LabelErrors:
    """Rows in doubt, the most doubtful first.

    Attributes:
        row: (E,) int64 positions among the N rows.
        suggestion: (E,) int64, the class that each row looks like.
        margin: (E,) float64, probability of that class minus that of the label.
    """

    row: NDArray[np.int64]
    suggestion: NDArray[np.int64]
    margin: NDArray[np.float64]


def label_errors(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> LabelErrors:
    """Find rows that look like another class than their label says.

    A row counts for the class of the highest probability among those that reach
    the class's own threshold, the mean probability that rows labelled so get: a
    head that is timid about a class is judged by its own standard. Rows that
    count for another class than their label are in doubt (the off-diagonal of the
    confident joint), ordered by margin.

    Source: Northcutt, Jiang & Chuang (2021), *Confident learning: estimating
    uncertainty in dataset labels*, JAIR 70, section 3.1. Its library, cleanlab,
    was left out: for these few lines it would be one more dependency.

    Args:
        labels: (N,) classes in 0 to K − 1, as given.
        probabilities: (N, K) of heads that had not seen the row.
    """
    k = probabilities.shape[1]
    shares = probabilities.astype(np.float64)
    rows = np.bincount(labels, minlength=k)
    own = shares[np.arange(len(labels)), labels]
    threshold = np.full(k, np.inf)  # nothing is suggested of which no row is known
    np.divide(np.bincount(labels, own, k), rows, out=threshold, where=rows > 0)
    reaching = np.where(shares >= threshold, shares, -1.0)
    guess = reaching.argmax(axis=1)
    doubtful = np.flatnonzero((reaching.max(axis=1) > 0) & (guess != labels))
    margin = shares[doubtful, guess[doubtful]] - own[doubtful]
    order = np.argsort(-margin, kind="stable")
    return LabelErrors(doubtful[order], guess[doubtful][order], margin[order])
