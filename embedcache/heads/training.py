"""`TrainingPart`: rows made ready for fits at one C after another.

n is the number of training rows, D the embedding dimension, K the number of classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.logreg import Softmax, fit_softmax
from embedcache.heads.standardise import Float, Scaler
from embedcache.heads.threads import one_thread

__all__ = ["TrainingPart"]


class TrainingPart:
    """Standardised training rows; each fit starts where the last one ended.

    With fewer rows than dimensions the rows are rotated into their own span
    (a QR factorisation of the transpose): an L2 penalty keeps the optimum in that span and
    does not see the rotation, so the fit is the same and costs n instead of D
    columns.

    Args:
        features: (n, D).
        labels: (n,) classes in 0 to K − 1, each at least once.
        dtype: float32 to choose C, float64 for a fit that is kept.
        widths: Number of columns of each source; None for one source.
        weights: (n,) how much each row counts; None where all count 1.
    """

    def __init__(
        self,
        features: NDArray[np.floating],
        labels: NDArray[np.integer],
        dtype: type[Float],
        widths: tuple[int, ...] | None = None,
        weights: NDArray[np.float64] | None = None,
    ) -> None:
        self.scaler = Scaler.fit(features, widths)
        self._labels, self._weights = labels, weights
        self._rows: NDArray[np.floating] = self.scaler.apply(features, dtype)
        self._basis: NDArray[np.floating] | None = None
        n, d = features.shape
        if n < d:
            with one_thread():
                self._basis, triangle = np.linalg.qr(self._rows.T)
            self._rows = np.ascontiguousarray(triangle.T)
        self._last: Softmax | None = None

    def fit(self, c: float, *, tolerance: float, max_iterations: int) -> Softmax:
        """Weights for standardised rows."""
        self._last = fit_softmax(
            self._rows,
            self._labels,
            c,
            self._last,
            weights=self._weights,
            tolerance=tolerance,
            max_iterations=max_iterations,
        )
        if self._basis is None:
            return self._last
        fit = self._last
        return Softmax(fit.weights @ self._basis.T, fit.intercept, fit.converged, fit.iterations)

    def raw_weights(self, fit: Softmax) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights and intercepts for raw features, the scaler folded in, float64."""
        return self.scaler.fold(fit.weights.astype(np.float64), fit.intercept.astype(np.float64))
