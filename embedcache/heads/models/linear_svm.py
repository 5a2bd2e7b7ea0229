"""`linear-svm`: support vector machines, one class against the rest, squared hinge loss."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.features import Features
from embedcache.heads.forms.linear import Linear
from embedcache.heads.ladder import Ladder, Setting, decades
from embedcache.heads.model import Fit, Scored, Training
from embedcache.heads.models.base import Base
from embedcache.heads.standardise import Scaler
from embedcache.heads.threads import one_thread

__all__ = ["LinearSvm"]

_TOLERANCE, _MAX_ITERATIONS = 1e-4, 1_000  # scikit-learn's own
_RANKING_TOLERANCE = 1e-2


class LinearSvm(Base):
    """scikit-learn's `LinearSVC` on standardised features, in the primal: no chance in it."""

    name = "linear-svm"
    calibrated = False
    weighs = True
    ladders: tuple[Ladder, ...] = (decades("C", -16, -10, 0, 6),)
    """C from 1e-5 to 1 by decades, extended to 1e-8 or 1e3."""

    def fold(self, training: Training, held_out: Features) -> SvmFold:
        """Standardise both sides by the training rows."""
        raw = training.features.array()
        scaler = Scaler.fit(raw, training.features.widths)
        standardised = scaler.apply(raw, np.float64)
        scored = scaler.apply(held_out.array(), np.float64)
        return SvmFold(standardised, training.labels, training.weights, scored)

    def fit(self, training: Training, setting: Setting) -> Fit:
        """Fit to liblinear's tolerance."""
        raw = training.features.array()
        scaler = Scaler.fit(raw, training.features.widths)
        rows = scaler.apply(raw, np.float64)
        solved = _solve(rows, training.labels, training.weights, setting["C"], _TOLERANCE)
        weights, intercept = scaler.fold(solved.weights, solved.intercept)
        temperature = setting["temperature"]
        form = Linear(weights / temperature, intercept / temperature)
        return Fit(form, solved.converged, solved.iterations)


@dataclass(frozen=True, eq=False)
class SvmFold:
    """Standardised training rows, their labels and weights, and the rows to score."""

    features: NDArray[np.float64]
    labels: NDArray[np.integer]
    weights: NDArray[np.float64] | None
    held_out: NDArray[np.float64]

    def score(self, setting: Setting, tolerance: float) -> Scored:  # noqa: ARG002  # liblinear's is relative by itself
        """Margins of the held-out rows."""
        solved = _solve(self.features, self.labels, self.weights, setting["C"], _RANKING_TOLERANCE)
        with one_thread():
            scores = self.held_out @ solved.weights.T + solved.intercept
        return Scored(scores, solved.converged, solved.iterations)


@dataclass(frozen=True, eq=False)
class _Solved:
    weights: NDArray[np.float64]
    intercept: NDArray[np.float64]
    converged: bool
    iterations: int


def _solve(
    rows: NDArray[np.float64],
    labels: NDArray[np.integer],
    row_weights: NDArray[np.float64] | None,
    c: float,
    tolerance: float,
) -> _Solved:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    k = int(labels.max()) + 1
    if k == 1:
        return _Solved(np.zeros((1, rows.shape[1])), np.zeros(1), converged=True, iterations=0)
    estimator = LinearSVC(C=c, dual=False, tol=tolerance, max_iter=_MAX_ITERATIONS)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ConvergenceWarning)
        estimator.fit(rows, labels, sample_weight=row_weights)
    weights, intercept = estimator.coef_, estimator.intercept_
    if k == 2:
        weights = np.concatenate([-weights, weights]) / 2
        intercept = np.concatenate([-intercept, intercept]) / 2
    return _Solved(weights, intercept, not caught, int(np.max(estimator.n_iter_)))
