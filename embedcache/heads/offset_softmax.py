"""Softmax regression on top of fixed logits, by L-BFGS: what is left for the labels to say.

n is the number of rows, D the dimension, K the number of classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.logreg import Softmax, softmax
from embedcache.heads.threads import one_thread

__all__ = ["fit_on_offset"]


def fit_on_offset(
    features: NDArray[np.floating],
    labels: NDArray[np.integer],
    offset: NDArray[np.float64],
    c: float,
    init: Softmax | None = None,
    *,
    tolerance: float,
    max_iterations: int,
) -> Softmax:
    """Minimise `C · Σ log-loss(offset + V x + b) + ½ ‖V‖²`, the intercept b free.

    scikit-learn's objective for three or more classes, which has no offset; for two
    classes the penalty is on both weight vectors here, so that C is its 2 C.

    Args:
        features: (n, D) float32 or float64, standardised; products are in their dtype.
        labels: (n,) in 0 to K − 1.
        offset: (n, K), fixed logits.
        c: Inverse strength C of the penalty.
        init: Where to start, such as the fit at a neighbouring C; None for zeros.
        tolerance: Largest component of the gradient of the mean loss at the end.
        max_iterations: Where the solver gives up; the result then says so.

    Returns:
        V and b alone, without the offset.
    """
    from scipy.optimize import minimize

    (n, d), k = features.shape, offset.shape[1]
    place = np.arange(n), labels

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, intercept = flat[: k * d].reshape(k, d), flat[k * d :]
        error = softmax(features @ weights.T.astype(features.dtype) + intercept + offset)
        value = -np.log(np.maximum(error[place], np.finfo(np.float64).tiny)).mean()
        error[place] -= 1
        slope = error.T.astype(features.dtype) @ features / n + weights / (c * n)
        penalty = np.square(weights).sum() / (2 * c * n)
        return float(value + penalty), np.concatenate([slope.ravel(), error.mean(axis=0)])

    start = np.zeros(k * (d + 1))
    if init is not None:
        start = np.concatenate([init.weights.ravel(), init.intercept])
    with one_thread():
        found = minimize(
            loss,
            start,
            jac=True,
            method="L-BFGS-B",
            # Of the two ends of scipy, the gradient's alone says how far the optimum is.
            options={"gtol": tolerance, "ftol": 0.0, "maxiter": max_iterations, "maxfun": 10**9},
        )
    weights, intercept = found.x[: k * d].reshape(k, d), found.x[k * d :]
    converged = bool(np.abs(found.jac).max() <= tolerance)
    return Softmax(weights, intercept, converged, int(found.nit))
