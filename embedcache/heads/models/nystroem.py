"""`nystroem`: softmax regression on an approximate radial basis function kernel.

n is the number of training rows, D the embedding dimension, M the number of landmarks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.features import Features
from embedcache.heads.forms.landmarks import Landmarks
from embedcache.heads.forms.linear import Linear
from embedcache.heads.ladder import Ladder, Setting, decades
from embedcache.heads.model import Fit, Scored, Training
from embedcache.heads.models.base import Base
from embedcache.heads.models.logreg import SoftmaxFold, softmax_fit
from embedcache.heads.standardise import Scaler
from embedcache.heads.threads import one_thread

__all__ = ["Nystroem"]

_LANDMARKS = 500

_WIDTHS = (0.1, 0.3, 1.0)
"""gamma · D. Standardised rows are about √(2D) apart, so at 1 a typical similarity is e⁻²."""


class Nystroem(Base):
    """scikit-learn's `Nystroem` and then a softmax regression, of gamma and C.

    Williams & Seeger (2001), *Using the Nyström method to speed up kernel machines*.
    """

    name = "nystroem"
    calibrated = True
    weighs = True
    ladders: tuple[Ladder, ...] = tuple(
        decades("C", -10, -4, 2, 8, {"gamma*D": width}) for width in _WIDTHS
    )
    """A ladder of C for each gamma, the widest kernel first."""

    def fold(self, training: Training, held_out: Features) -> NystroemFold:
        """Standardise both sides by the training rows."""
        return NystroemFold(training, held_out)

    def fit(self, training: Training, setting: Setting) -> Fit:
        """Fit to convergence, and fold Nyström's normalisation into the weights."""
        raw = training.features.array()
        scaler = Scaler.fit(raw, training.features.widths)
        gamma = setting["gamma*D"] / training.features.dim
        with one_thread():
            similar, estimator = _similar(scaler.apply(raw, np.float64), gamma, training.seed)
            fit = softmax_fit(similar, training.labels, setting["C"], weights=training.weights)
            assert isinstance(fit.form, Linear)
            weights = fit.form.weights @ estimator.normalization_
        form = Landmarks(
            scaler.mean,
            scaler.scale,
            estimator.components_,
            np.array([gamma]),
            Linear(weights, fit.form.intercept),
        )
        return Fit(form, fit.converged, fit.iterations)


class NystroemFold:
    """Standardised rows; the similarities of one gamma at a time."""

    def __init__(
        self,
        training: Training,
        held_out: Features,
    ) -> None:
        raw = training.features.array()
        scaler = Scaler.fit(raw, training.features.widths)
        self._rows = scaler.apply(raw, np.float64)
        self._held_out = scaler.apply(held_out.array(), np.float64)
        self._labels, self._seed = training.labels, training.seed
        self._weights = training.weights
        self._gamma = 0.0
        self._fold: SoftmaxFold | None = None

    def score(self, setting: Setting, tolerance: float) -> Scored:
        """Logits of the held-out rows."""
        gamma = setting["gamma*D"] / self._rows.shape[1]
        if self._fold is None or self._gamma != gamma:
            self._gamma = gamma
            with one_thread():
                similar, estimator = _similar(self._rows, self._gamma, self._seed)
                held_out = estimator.transform(self._held_out)
            self._fold = SoftmaxFold(similar, self._labels, held_out, weights=self._weights)
        return self._fold.score(setting, tolerance)


def _similar(rows: NDArray[np.float64], gamma: float, seed: int) -> tuple[NDArray[np.float64], Any]:
    from sklearn.kernel_approximation import Nystroem as Estimator

    estimator = Estimator(gamma=gamma, n_components=min(_LANDMARKS, len(rows)), random_state=seed)
    return estimator.fit_transform(rows), estimator
