"""`linear-svm`: support vector machines, one class against the rest, squared hinge loss.

N is the number of training rows, H of held-out rows, D the embedding dimension, K the
number of classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.features import Features
from embedcache.heads.forms.linear import Linear
from embedcache.heads.ladder import Ladder, Setting, decades
from embedcache.heads.model import Fit, Scored, Training
from embedcache.heads.models.base import Base
from embedcache.heads.models.squared_hinge import Solution, minimise
from embedcache.heads.standardise import Scaler
from embedcache.heads.threads import one_thread

__all__ = ["LinearSvm"]

_TOLERANCE, _RANKING_TOLERANCE = 1e-10, 1e-2
_MAX_ITERATIONS = 100


class LinearSvm(Base):
    """The minimum that scikit-learn's `LinearSVC` looks for, on standardised features."""

    name = "linear-svm"
    calibrated = False
    weighs = True
    ladders: tuple[Ladder, ...] = (decades("C", -16, -10, 0, 6),)
    """C from 1e-5 to 1 by decades, extended to 1e-8 or 1e3."""

    def fold(self, training: Training, held_out: Features) -> SvmFold:
        """Standardise both sides by the training rows."""
        return SvmFold(_Machines(training), held_out.array())

    def fit(self, training: Training, setting: Setting) -> Fit:
        """Fit to convergence."""
        machines = _Machines(training)
        solution = machines.fit(setting["C"], _TOLERANCE)
        weights, intercept = machines.raw(solution)
        temperature = setting["temperature"]
        form = Linear(weights / temperature, intercept / temperature)
        return Fit(form, solution.converged, solution.iterations)


class SvmFold:
    """Fits at one C after another, each starting where the last one ended."""

    def __init__(self, machines: _Machines, held_out: NDArray[np.floating]) -> None:
        self._machines = machines
        self._held_out = held_out

    def score(self, setting: Setting, tolerance: float) -> Scored:  # noqa: ARG002  # its own is relative
        """Margins of the held-out rows."""
        solution = self._machines.fit(setting["C"], _RANKING_TOLERANCE)
        weights, intercept = self._machines.raw(solution)
        with one_thread():
            scores = self._held_out.astype(np.float64) @ weights.T + intercept
        return Scored(scores, solution.converged, solution.iterations)


class _Machines:
    """Training rows, standardised, with a column of ones, in their Gram matrix's eigenbasis.

    The ones carry the intercept, which liblinear penalises as a weight. The basis leaves
    the penalty as it is, and makes a preconditioner of the eigenvalues for every C.
    """

    def __init__(self, training: Training) -> None:
        raw = training.features.array()
        self._scaler = Scaler.fit(raw, training.features.widths)
        rows = np.ones((len(raw), raw.shape[1] + 1))
        rows[:, :-1] = self._scaler.apply(raw, np.float64)
        self._k = training.k
        weights = np.ones(len(raw)) if training.weights is None else training.weights
        self._row_weights = weights[:, None]
        # Two classes are one problem; a single class is none. A label is one of its own.
        self._alone = training.is_multilabel or self._k > 2
        self._signs = training.signs if self._alone else training.signs[:, 1:]
        with one_thread():
            basis = np.eye(rows.shape[1])
            if len(rows) < rows.shape[1]:  # the penalty keeps the optimum in the rows' span
                basis, triangle = np.linalg.qr(rows.T)
                rows = triangle.T
            squares, vectors = np.linalg.eigh(rows.T @ rows)
            self._squares = np.maximum(squares, 0)
            self._rows, self._basis = rows @ vectors, basis @ vectors
        self._last = np.zeros((self._rows.shape[1], self._signs.shape[1]))

    def fit(self, c: float, tolerance: float) -> Solution:
        """Weights in the basis, from where the last fit ended."""
        with one_thread():
            solution = minimise(
                self._rows,
                self._squares,
                self._signs,
                c * self._row_weights,
                self._last,
                tolerance=tolerance,
                max_iterations=_MAX_ITERATIONS,
            )
        self._last = solution.weights
        return solution

    def raw(self, solution: Solution) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights (K, D) and intercepts (K,) for raw features."""
        with one_thread():
            found = (self._basis @ solution.weights).T
        if self._alone:
            return self._scaler.fold(found[:, :-1], found[:, -1])
        if self._k == 1:
            found = np.zeros((1, len(self._basis)))
        elif self._k == 2:
            found = np.concatenate([-found, found]) / 2
        return self._scaler.fold(found[:, :-1], found[:, -1])
