"""`lda`: linear discriminant analysis with the covariance shrunk by Ledoit and Wolf's rule."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.model import Training
from embedcache.heads.models.closed import Closed
from embedcache.heads.standardise import Scaler

__all__ = ["Lda"]


class Lda(Closed):
    """scikit-learn's `LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")`.

    Ledoit & Wolf (2004), *A well-conditioned estimator for large-dimensional covariance
    matrices*.
    """

    name = "lda"
    weighs = True

    def solve(self, training: Training) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights (K, D) and intercepts (K,) for raw features."""
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        if training.k in {1, len(training.labels)}:
            # A fold may have one class only, or one row of each: nothing to tell apart, or
            # no spread to tell it by.
            return np.zeros((training.k, training.features.dim)), np.zeros(training.k)
        raw = training.features.array()
        scaler = Scaler.fit(raw, training.features.widths)
        # The means of classes do not see what their rows weigh; the shares of classes, in the
        # pooled covariance and the intercept, do.
        shares = np.bincount(training.labels, training.weights)
        estimator = LinearDiscriminantAnalysis(
            solver="lsqr", shrinkage="auto", priors=shares / shares.sum()
        )
        with warnings.catch_warnings():
            # A class of one row has a mean and adds nothing to the covariance.
            warnings.filterwarnings("ignore", message="Only one sample available")
            # Rows fewer than classes' worth of a regression: a classification all the same.
            warnings.filterwarnings("ignore", message=".*could represent a regression problem")
            estimator.fit(scaler.apply(raw, np.float64), training.labels)
        weights, intercept = estimator.coef_, estimator.intercept_
        if len(weights) == 1:  # scikit-learn keeps the difference of two classes only
            weights = np.concatenate([-weights, weights]) / 2
            intercept = np.concatenate([-intercept, intercept]) / 2
        return scaler.fold(weights, intercept)
