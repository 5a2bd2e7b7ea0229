"""Softmax regression with an L2 penalty, by scikit-learn's L-BFGS.

The one place that knows the solver. Minimises `C · Σ log-loss + ½ ‖w‖²`, the
intercept free, as scikit-learn writes it: for two classes w is one vector, for
more it is the whole matrix. N is the number of rows, D the dimension, K the
number of classes.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.threads import one_thread

__all__ = ["Softmax", "fit_softmax", "sigmoid", "softmax"]


@dataclass(frozen=True, eq=False)
class Softmax:
    """Weights of a softmax regression, and how the solver arrived at them.

    Attributes:
        weights: (K, D), of the dtype of the features.
        intercept: (K,).
        converged: Whether the solver reached its tolerance.
        iterations: Iterations of the solver.
    """

    weights: NDArray[np.floating]
    intercept: NDArray[np.floating]
    converged: bool
    iterations: int

    def logits(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        """(N, K), for features (N, D)."""
        logits: NDArray[np.floating] = features @ self.weights.T + self.intercept
        return logits


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities, (N, K) float64, rows sum to 1."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    powers: NDArray[np.float64] = np.exp(shifted)
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def sigmoid(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities of presence, float64, of the shape of `logits`; no power overflows."""
    powers = np.exp(-np.abs(logits.astype(np.float64)))
    shares: NDArray[np.float64] = np.where(logits >= 0, 1.0, powers) / (1 + powers)
    return shares


def fit_softmax(
    features: NDArray[np.floating],
    labels: NDArray[np.integer],
    c: float,
    init: Softmax | None = None,
    *,
    weights: NDArray[np.float64] | None = None,
    tolerance: float,
    max_iterations: int,
) -> Softmax:
    """Fit at one strength of regularisation.

    Args:
        features: (N, D) float32 or float64, standardised, C-contiguous.
        labels: (N,) in 0 to K − 1, each class at least once.
        c: Inverse strength C of the penalty.
        init: Where to start, such as the fit at a neighbouring C; None for zeros.
        weights: (N,) how much each row's log-loss counts; None where all count 1.
        tolerance: Largest component of the gradient of the mean loss at the end.
        max_iterations: Where the solver gives up; the result then says so.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    k = int(labels.max()) + 1
    if k == 1:
        zeros = np.zeros((1, features.shape[1]), features.dtype)
        return Softmax(zeros, np.zeros(1, features.dtype), converged=True, iterations=0)
    estimator = LogisticRegression(
        C=c, tol=tolerance, max_iter=max_iterations, warm_start=init is not None
    )
    if init is not None:
        estimator.coef_, estimator.intercept_ = _to_estimator(init)
    with warnings.catch_warnings(record=True) as caught, one_thread():
        warnings.simplefilter("always")
        # 1,000 classes of 2 rows are a classification all the same.
        warnings.filterwarnings("ignore", message=".*could represent a regression problem")
        estimator.fit(features, labels, sample_weight=weights)
    converged = True
    for warning in caught:
        if issubclass(warning.category, ConvergenceWarning):
            converged = False
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    coefficients, intercept = estimator.coef_, estimator.intercept_
    if k == 2:
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercept = np.concatenate([-intercept, intercept]) / 2
    return Softmax(coefficients, intercept, converged, int(estimator.n_iter_.max()))


def _to_estimator(init: Softmax) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    if len(init.weights) == 2:
        return init.weights[1:] - init.weights[:1], init.intercept[1:] - init.intercept[:1]
    return init.weights.copy(), init.intercept.copy()
