"""`lda`: linear discriminant analysis with the covariance shrunk by Ledoit and Wolf's rule.

n is the number of training rows of one class, D the embedding dimension, K the
number of classes.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.model import Training
from embedcache.heads.models.closed import Closed
from embedcache.heads.standardise import Scaler

__all__ = ["Lda"]


class Lda(Closed):
    """What scikit-learn's `LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")` finds.

    Ledoit & Wolf (2004), *A well-conditioned estimator for large-dimensional covariance
    matrices*. Each class is shrunk by its own amount; their mean is the one covariance.
    """

    name = "lda"
    weighs = True

    def solve(self, training: Training) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights (K, D) and intercepts (K,) for raw features."""
        k = training.k
        if k in {1, len(training.labels)}:
            # A fold may have one class only, or one row of each: nothing to tell apart, or
            # no spread to tell it by.
            return np.zeros((k, training.features.dim)), np.zeros(k)
        raw = training.features.array()
        scaler = Scaler.fit(raw, training.features.widths)
        rows = scaler.apply(raw, np.float64)
        # The means of classes do not see what their rows weigh; the shares of classes, in the
        # pooled covariance and the intercept, do.
        shares = np.bincount(training.labels, training.weights)
        shares = shares / shares.sum()
        means = np.empty((k, rows.shape[1]))
        diagonal = np.zeros(rows.shape[1])
        for label in range(k):
            own = np.flatnonzero(training.labels == label)
            means[label] = rows[own].mean(axis=0)
            centred = rows[own] - means[label]
            deviation = centred.std(axis=0)
            deviation[np.ptp(rows[own], axis=0) == 0] = 1
            shrinkage, level = _ledoit_wolf(centred / deviation)
            # All classes' covariances are one product of rows weighted so, not K of D × D.
            rows[own] = np.sqrt(shares[label] * (1 - shrinkage) / len(own)) * centred
            diagonal += shares[label] * shrinkage * level * np.square(deviation)
        covariance = rows.T @ rows
        covariance[np.diag_indices_from(covariance)] += diagonal
        weights = _solve(covariance, means.T).T
        return scaler.fold(weights, np.log(shares) - (means * weights).sum(axis=1) / 2)


def _ledoit_wolf(rows: NDArray[np.float64]) -> tuple[float, float]:
    """How much to shrink, 0 to 1, and the mean variance to shrink to.

    Args:
        rows: Of one class, centred, (n, D).
    """
    n, d = rows.shape
    lengths = np.square(rows).sum(axis=1)
    level = float(lengths.sum()) / (n * d)
    if d == 1:
        return 0.0, level
    # The Frobenius norm of XᵀX is that of XXᵀ, and a class has few rows.
    gram = rows @ rows.T if n < d else rows.T @ rows
    norm = float(np.square(gram).sum()) / n**2
    distance = norm / d - level**2
    noise = (float(np.square(lengths).sum()) / n - norm) / (d * n)
    return (min(noise, distance) / distance if distance > 0 else 0.0), level


def _solve(covariance: NDArray[np.float64], means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cholesky's solution, (D, K); the shortest one where there is no single one."""
    from scipy import linalg

    with warnings.catch_warnings(action="error", category=linalg.LinAlgWarning):
        try:
            solution: NDArray[np.float64] = linalg.solve(covariance, means, assume_a="pos")
        except (linalg.LinAlgError, linalg.LinAlgWarning):
            solution = linalg.lstsq(covariance, means)[0]
    return solution
