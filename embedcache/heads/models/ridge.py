"""`ridge`: least squares to ±1 with an L2 penalty alpha, all alphas from one decomposition.

n is the number of training rows, H of held-out rows, D the embedding dimension, K
the number of classes, R ≤ min(n, D) the rank of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.features import Features
from embedcache.heads.forms.linear import Linear
from embedcache.heads.ladder import Ladder, Setting, decades
from embedcache.heads.model import Fit, Fold, Scored, Training
from embedcache.heads.models.base import Base
from embedcache.heads.standardise import Scaler
from embedcache.heads.threads import one_thread

__all__ = ["Decomposed", "Ridge"]


class Ridge(Base):
    """scikit-learn's `RidgeClassifier` on standardised features, the intercept free."""

    name = "ridge"
    calibrated = False
    weighs = True
    ladders: tuple[Ladder, ...] = (decades("alpha", 20, 12, 0, -12),)
    """Alpha from 1e6 to 1 by decades, extended to 1e10 or 1e-6."""

    def fold(self, training: Training, held_out: Features) -> RidgeFold:
        """Decompose the training rows once."""
        parts = Decomposed.of(training)
        return RidgeFold(parts, parts.rotated(parts.scaler.apply(held_out.array(), np.float64)))

    def leave_one_out(self, training: Training) -> Fold | None:
        """Exact for the regression; the scaler alone has seen the row, never its label."""
        return RidgeFold(Decomposed.of(training), None)

    def fit(self, training: Training, setting: Setting) -> Fit:
        """Solve for one alpha."""
        parts = Decomposed.of(training)
        weights, intercept = parts.scaler.fold(*parts.solve(setting["alpha"]))
        temperature = setting["temperature"]
        return Fit(Linear(weights / temperature, intercept / temperature))


@dataclass(frozen=True, eq=False)
class Decomposed:
    """Standardised rows in the eigenbasis of their Gram matrix.

    A row of weight w is worth w rows: it and its target are multiplied by √w, and means
    are weighted ones.

    Attributes:
        scaler: Of the rows; it centres them, so the intercept is the targets' mean.
        basis: (D, R) float64, orthonormal.
        rows: (n, R) float64, the rows in that basis, times √w.
        squares: (R,) float64, the squared lengths of the columns of `rows`.
        targets: (n, K) float64, 1 for what the row is or has and −1 elsewhere, centred,
            times √w.
        mean: (K,) float64 of the targets.
        root: (n, 1) float64, √w.
    """

    scaler: Scaler
    basis: NDArray[np.float64]
    rows: NDArray[np.float64]
    squares: NDArray[np.float64]
    targets: NDArray[np.float64]
    mean: NDArray[np.float64]
    root: NDArray[np.float64]

    @classmethod
    def of(cls, training: Training) -> Decomposed:
        """Decompose the smaller of XᵀX and XXᵀ."""
        raw = training.features.array()
        scaler = Scaler.fit(raw, training.features.widths)
        if training.weights is not None:
            centre = np.average(scaler.apply(raw, np.float64), axis=0, weights=training.weights)
            scaler = Scaler(scaler.mean + centre * scaler.scale, scaler.scale)
        weights = np.ones(len(raw)) if training.weights is None else training.weights
        root = np.sqrt(weights)[:, None]
        rows = scaler.apply(raw, np.float64) * root
        n, d = rows.shape
        with one_thread():
            squares, vectors = np.linalg.eigh(rows.T @ rows if n >= d else rows @ rows.T)
            # Directions without rows: weights there are 0 at every alpha.
            kept = squares > squares[-1] * max(n, d) * np.finfo(np.float64).eps
            squares, vectors = squares[kept], vectors[:, kept]
            if n >= d:
                basis, rotated = vectors, rows @ vectors
            else:
                lengths = np.sqrt(squares)
                basis, rotated = rows.T @ vectors / lengths, vectors * lengths
        targets = training.signs
        mean = np.average(targets, axis=0, weights=weights)
        return cls(scaler, basis, rotated, squares, (targets - mean) * root, mean, root)

    def rotated(self, standardised: NDArray[np.float64]) -> NDArray[np.float64]:
        """Other rows in the basis, (H, R)."""
        with one_thread():
            rows: NDArray[np.float64] = standardised @ self.basis
        return rows

    def coefficients(self, alpha: float) -> NDArray[np.float64]:
        """(R, K), in the basis."""
        with one_thread():
            product: NDArray[np.float64] = self.rows.T @ self.targets
        return product / (self.squares + alpha)[:, None]

    def solve(self, alpha: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights (K, D) and intercepts (K,) for standardised rows."""
        with one_thread():
            weights: NDArray[np.float64] = (self.basis @ self.coefficients(alpha)).T
        return weights, self.mean

    def left_out(self, alpha: float) -> NDArray[np.float64]:
        """Scores (n, K) of each row by the fit to all others.

        The residual of a left-out row is the residual over 1 − h, h the row's entry on
        the diagonal of the hat matrix (Allen 1974; Golub, Heath & Wahba 1979,
        *Generalized cross-validation*).
        """
        with one_thread():
            fitted = self.rows @ self.coefficients(alpha)
            hat = np.square(self.rows) @ (1 / (self.squares + alpha))
        hat += np.square(self.root[:, 0]) / np.square(self.root).sum()
        # 1 − h is 0 only for a row that alone spans a direction, at an alpha lost to rounding.
        room = np.maximum(1 - hat, np.finfo(np.float64).eps)
        left_out = self.targets - (self.targets - fitted) / room[:, None]
        scores: NDArray[np.float64] = self.mean + left_out / self.root
        return scores


@dataclass(frozen=True, eq=False)
class RidgeFold:
    """Scores of rotated held-out rows, or of each training row left out."""

    parts: Decomposed
    held_out: NDArray[np.float64] | None

    def score(self, setting: Setting, tolerance: float) -> Scored:  # noqa: ARG002  # a closed form needs none
        """Scores at one alpha."""
        if self.held_out is None:
            return Scored(self.parts.left_out(setting["alpha"]))
        with one_thread():
            scores = self.held_out @ self.parts.coefficients(setting["alpha"])
        return Scored(scores + self.parts.mean)
