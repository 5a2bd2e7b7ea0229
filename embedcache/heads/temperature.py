"""`fit_temperature`: the scale that makes scores of held-out rows into probabilities.

Guo et al. (2017), *On calibration of modern neural networks*: softmax(scores / T), T
of the least log-loss. N is the number of rows, K the number of classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["fit_temperature"]

_STEPS = 60  # of a bisection: each halves the interval of log T


def fit_temperature(
    scores: NDArray[np.floating],
    labels: NDArray[np.integer],
    weights: NDArray[np.float64] | None = None,
) -> float:
    """T above 0 of the least mean log-loss.

    The loss is convex in 1/T, so its derivative changes sign once. The targets are
    smoothed by 1/(N + 2), as in Platt (1999), *Probabilistic outputs for support
    vector machines*: scores that separate all rows would otherwise ask for T = 0.

    Args:
        scores: (N, K), −inf for a class that the row's fit has not seen.
        labels: (N,) true classes.
        weights: (N,) how much each row's log-loss counts; None where all count 1.
    """
    known = np.isfinite(scores)
    rows = known[np.arange(len(labels)), labels] & (known.sum(axis=1) > 1)
    kept: NDArray[np.float64] = scores[rows].astype(np.float64)
    known, labels = known[rows], labels[rows]
    weights = np.ones(len(labels)) if weights is None else weights[rows]
    if not len(labels):
        return 1.0
    spread = float(np.std(kept, where=known))
    if spread <= np.finfo(np.float64).eps * float(np.abs(kept).max(where=known, initial=0.0)):
        return 1.0
    share = 1 / (len(labels) + 2)
    true = kept[np.arange(len(labels)), labels]
    flat = np.where(known, kept, 0).sum(axis=1) / known.sum(axis=1)
    target = float(np.average((1 - share) * true + share * flat, weights=weights))
    # T between a thousandth and ten thousand times the spread of the scores.
    low, high = np.log(spread) - np.log(1e3), np.log(spread) + np.log(1e4)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _mean_under(kept, known, weights, float(np.exp(-middle))) > target:
            low = middle  # too sure: the truth scores less than the softmax expects
        else:
            high = middle
        if high - low < 1e-4:
            break
    return float(np.exp((low + high) / 2))


def _mean_under(
    scores: NDArray[np.float64],
    known: NDArray[np.bool_],
    weights: NDArray[np.float64],
    beta: float,
) -> float:
    """Mean over rows of the score expected under softmax(beta · scores)."""
    powers = np.exp(beta * (scores - scores.max(axis=1, keepdims=True)))
    expected = np.sum(powers * np.where(known, scores, 0), axis=1) / powers.sum(axis=1)
    return float(np.average(expected, weights=weights))
