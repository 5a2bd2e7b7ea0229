"""`logreg`: multinomial logistic regression with an L2 penalty of inverse strength C."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.features import Features
from embedcache.heads.forms.linear import Linear
from embedcache.heads.ladder import Ladder, Setting, decades
from embedcache.heads.model import Fit, Scored, Training
from embedcache.heads.models.base import Base
from embedcache.heads.training import TrainingPart

__all__ = ["Logreg", "softmax_fit"]

_TOLERANCE = 1e-6
"""Of a fit that is kept: within 1e-5 of the optimum's objective on ELPV at every C to 10."""

_MAX_ITERATIONS = 5_000

_MAX_RANKING_ITERATIONS = 200


class Logreg(Base):
    """The probe that papers report."""

    name = "logreg"
    calibrated = True
    weighs = True
    ladders: tuple[Ladder, ...] = (decades("C", -16, -10, 2, 12),)
    """C from 1e-5 to 10 by decades, extended to 1e-8 or 1e6."""

    def fold(self, training: Training, held_out: Features) -> SoftmaxFold:
        """Standardise both sides by the training rows."""
        features, weights = training.features, training.weights
        widths = features.widths
        return SoftmaxFold(features.array(), training.labels, held_out.array(), widths, weights)

    def fit(self, training: Training, setting: Setting) -> Fit:
        """Fit to convergence in float64."""
        features, weights = training.features, training.weights
        widths = features.widths
        return softmax_fit(features.array(), training.labels, setting["C"], widths, weights)


class SoftmaxFold:
    """Fits at one C after another, each from the last, in float32."""

    def __init__(
        self,
        features: NDArray[np.floating],
        labels: NDArray[np.integer],
        held_out: NDArray[np.floating],
        widths: tuple[int, ...] | None = None,
        weights: NDArray[np.float64] | None = None,
    ) -> None:
        self._part = TrainingPart(features, labels, np.float32, widths, weights)
        self._held_out = self._part.scaler.apply(held_out, np.float32)

    def score(self, setting: Setting, tolerance: float) -> Scored:
        """Logits of the held-out rows."""
        fit = self._part.fit(
            setting["C"], tolerance=tolerance, max_iterations=_MAX_RANKING_ITERATIONS
        )
        return Scored(fit.logits(self._held_out), fit.converged, fit.iterations)


def softmax_fit(
    features: NDArray[np.floating],
    labels: NDArray[np.integer],
    c: float,
    widths: tuple[int, ...] | None = None,
    weights: NDArray[np.float64] | None = None,
) -> Fit:
    """A softmax regression of raw features, from sources of these widths, that is kept."""
    part = TrainingPart(features, labels, np.float64, widths, weights)
    fit = part.fit(c, tolerance=_TOLERANCE, max_iterations=_MAX_ITERATIONS)
    return Fit(Linear(*part.raw_weights(fit)), fit.converged, fit.iterations)
