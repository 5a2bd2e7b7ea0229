"""`logreg` that shrinks towards weights that were there before any label, such as zero-shot's.

n is the number of training rows, H of held-out rows, D the embedding dimension, K the
number of classes, R ≤ min(n, D) the dimension of the rows' span.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.features import Features
from embedcache.heads.forms.cosine import Cosine
from embedcache.heads.forms.linear import Linear
from embedcache.heads.forms.neighbours import normalised
from embedcache.heads.ladder import Ladder, Setting, decades
from embedcache.heads.logreg import Softmax
from embedcache.heads.model import Fit, Scored, Training
from embedcache.heads.models.base import Base
from embedcache.heads.offset_softmax import fit_on_offset
from embedcache.heads.standardise import Float, Scaler
from embedcache.heads.threads import one_thread

__all__ = ["Shrunk"]

_TOLERANCE, _MAX_ITERATIONS = 1e-6, 5_000
_MAX_RANKING_ITERATIONS = 200


class Shrunk(Base):
    """Softmax regression of features of length 1 with the penalty ½ ‖W − W₀‖².

    W₀ are the weights of `Training.prior`. The residual V = W − W₀ is fitted on top of
    the fixed logits W₀ x, which is the same problem; as everywhere, the penalty is on the
    weights of standardised features. With C towards 0 the head is zero-shot with free
    intercepts, with C towards ∞ plain logistic regression. The penalty towards the text
    features is that of Silva-Rodríguez et al. (CVPR 2024), *A closer look at the few-shot
    adaptation of large vision-language models*, with one weight for all classes.
    """

    name = "logreg-from-zero-shot"
    calibrated = True
    ladders: tuple[Ladder, ...] = (decades("C", -16, -10, 2, 12),)
    """As logreg's: C from 1e-5 to 10 by decades, extended to 1e-8 or 1e6."""

    def fold(self, training: Training, held_out: Features) -> ShrunkFold:
        """Make both sides unit, and standardise them by the training rows."""
        return ShrunkFold(_Part(training, np.float32), normalised(held_out.array()))

    def fit(self, training: Training, setting: Setting) -> Fit:
        """Fit to convergence."""
        part = _Part(training, np.float64)
        fit = part.fit(setting["C"], _TOLERANCE, _MAX_ITERATIONS)
        weights, intercept = part.scaler.fold(
            fit.weights.astype(np.float64), fit.intercept.astype(np.float64)
        )
        form = Cosine(Linear(part.prior + weights, intercept))
        return Fit(form, fit.converged, fit.iterations)


class _Part:
    """Training rows of length 1, standardised, and their fixed logits.

    Args:
        training: With a prior.
        dtype: float32 to choose C, float64 for a fit that is kept.
    """

    def __init__(self, training: Training, dtype: type[Float]) -> None:
        assert training.prior is not None
        self.prior = training.prior
        unit = normalised(training.features.array())
        self.scaler = Scaler.fit(unit)
        self._labels = training.labels
        self._rows: NDArray[np.floating] = self.scaler.apply(unit, dtype)
        self._basis: NDArray[np.floating] | None = None
        with one_thread():
            self._offset = unit @ self.prior.T
            if len(unit) < unit.shape[1]:
                # As `TrainingPart` has it: the penalty keeps the optimum in the rows' span.
                self._basis, triangle = np.linalg.qr(self._rows.T)
                self._rows = np.ascontiguousarray(triangle.T)
        self._last: Softmax | None = None

    def fit(self, c: float, tolerance: float, max_iterations: int) -> Softmax:
        """V and b for standardised rows; each fit starts where the last one ended."""
        self._last = last = fit_on_offset(
            self._rows,
            self._labels,
            self._offset,
            c,
            self._last,
            tolerance=tolerance,
            max_iterations=max_iterations,
        )
        if self._basis is None:
            return last
        with one_thread():
            weights = last.weights @ self._basis.T
        return Softmax(weights, last.intercept, last.converged, last.iterations)


class ShrunkFold:
    """Fits at one C after another, in float32."""

    def __init__(self, part: _Part, held_out: NDArray[np.float64]) -> None:
        self._part = part
        with one_thread():
            self._offset = held_out @ part.prior.T
        self._held_out = part.scaler.apply(held_out, np.float32)

    def score(self, setting: Setting, tolerance: float) -> Scored:
        """Logits of the held-out rows."""
        fit = self._part.fit(setting["C"], tolerance, _MAX_RANKING_ITERATIONS)
        with one_thread():
            scores = self._offset + fit.logits(self._held_out)
        return Scored(scores, fit.converged, fit.iterations)
