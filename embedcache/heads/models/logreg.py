"""`logreg`: multinomial logistic regression with an L2 penalty of inverse strength C."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.folds import NEVER
from embedcache.heads.features import Features
from embedcache.heads.forms.linear import Linear
from embedcache.heads.ladder import Ladder, Setting, decades
from embedcache.heads.model import Fit, Fold, Scored, Training
from embedcache.heads.models.base import Base
from embedcache.heads.standardise import Float, Scaler
from embedcache.heads.training import TrainingPart

if TYPE_CHECKING:
    from embedcache.heads.solver.fit import Fit as Solution
    from embedcache.heads.solver.fit import MakeTargets
    from embedcache.heads.solver.folds import OutOfFold

__all__ = ["Logreg", "softmax_fit"]

_TOLERANCE = 1e-6
"""Of a fit that is kept: within 1e-5 of the optimum's objective on ELPV at every C to 10."""

_MAX_ITERATIONS = 5_000

_MAX_RANKING_ITERATIONS = 200

_GLANCE = 4
"""Passes after which held-out log-losses rank C as at the end: on ELPV, Fashion-MNIST and synthetic
features each C that was two errors worse after 2 was so at the end. On the way up a fit that has
not converged overfits less: a C that is hopeless now will be so."""

_SMALL = 3e6
"""N · min(N, D) · K below which scikit-learn's time is no longer than ours."""

_EXACT, _GAP, RANKING_GAP = 1e-8, 1e-6, 3e-5
"""Estimated distance to the optimum, relative to the objective: of a fit to few features that is
kept; of one to more, or of fits to few that rank C; of fits to more that rank C. The estimate may
be 30 times too low. With 1e-8 a choice on few took 1.5 to 2.4 times as long, for held-out losses
of converged fits that differed in the fourth digit after the point."""

_FEW = 2**20
"""N · D up to which features are few: a row more or less counts there."""


class Logreg(Base):
    """The probe that papers report."""

    name = "logreg"
    calibrated = True
    weighs = True
    ladders: tuple[Ladder, ...] = (decades("C", -16, -10, 2, 12),)
    """C from 1e-5 to 10 by decades, extended to 1e-8 or 1e6."""

    def out_of_fold(self, training: Training, folds: NDArray[np.int64]) -> Fold:
        """All folds at once by the project's own solver, unless the data are small."""
        if training.is_multilabel:
            return JointFolds(training, folds)
        numbers = np.unique(folds[folds != NEVER])
        classes = [np.unique(training.labels[folds != fold]) for fold in numbers]
        # A fold of one class alone has no optimum.
        if _is_small(training.features, training.k) or min(map(len, classes)) < 2:
            return super().out_of_fold(training, folds)
        return JointFolds(training, folds)

    def fold(self, training: Training, held_out: Features) -> SoftmaxFold:
        """Standardise both sides by the training rows."""
        features, weights = training.features, training.weights
        widths = features.widths
        return SoftmaxFold(features.array(), training.labels, held_out.array(), widths, weights)

    def fit(self, training: Training, setting: Setting) -> Fit:
        """Fit to convergence in float64."""
        # Labels share every pass over the rows: by themselves, 300 take thirty times as long.
        if training.is_multilabel or not _is_small(training.features, training.k):
            return _large_fit(training, setting["C"])
        features, weights = training.features, training.weights
        widths = features.widths
        return softmax_fit(features.array(), training.labels, setting["C"], widths, weights)


class JointFolds:
    """All folds at one C after another, each from those at C nearby, on one matrix of features."""

    def __init__(self, training: Training, folds: NDArray[np.int64]) -> None:
        from embedcache.heads.solver.folds import FoldedFits

        self._training, self._one_each = training, training.is_multilabel
        features, device = training.features, training.features.device
        self._fits = FoldedFits(features, _targets(training), folds, training.weights, device)
        self._gap = _GAP if _is_few(training.features) else RANKING_GAP

    def glance(self, setting: Setting) -> Scored:
        """Logits of every row after a few passes."""
        return self._at(setting["C"], _GLANCE)

    def score(self, setting: Setting, tolerance: float) -> Scored:  # noqa: ARG002  # the solver bounds the gap to the optimum instead
        """Logits of every row."""
        return self._at(setting["C"], _MAX_RANKING_ITERATIONS)

    def refit(self, setting: Setting) -> Fit:
        """Fit to all rows from the folds' mean."""
        fit = self._fits.refit(setting["C"], tolerance=_kept_gap(self._training.features))
        if fit is None:
            return _large_fit(self._training, setting["C"])
        return _kept(fit, one_each=self._one_each)

    def _at(self, c: float, passes: int) -> Scored:
        found = self._fits.at(c, tolerance=self._gap, max_passes=passes)
        scores = found if self._one_each else _Logits(found)
        return Scored(scores, found.converged, found.passes)


class _Logits:
    """Logits of K classes, two of them from the one that the solver knows."""

    def __init__(self, found: OutOfFold) -> None:
        self._found = found

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        return _both(self._found[rows].T).T


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


def _large_fit(training: Training, c: float) -> Fit:
    from embedcache.heads.solver.fit import fit_at

    fit = fit_at(
        training.features,
        _targets(training),
        np.ones(len(training.labels)) if training.weights is None else training.weights,
        c,
        device=training.features.device,
        scaler=Scaler.of(training.features),
        tolerance=_kept_gap(training.features),
    )
    return _kept(fit, one_each=training.is_multilabel)


def _kept(fit: Solution, *, one_each: bool) -> Fit:
    weights, intercept = fit.weights, fit.intercept
    if not one_each:
        weights, intercept = _both(weights), _both(intercept)
    return Fit(Linear(weights, intercept), fit.converged, fit.passes)


def _targets(training: Training) -> MakeTargets:
    from embedcache.heads.solver.targets import Targets

    if training.is_multilabel:
        return partial(Targets.from_indicators, training.labels)
    return partial(Targets.from_codes, training.labels, training.k)


def _both(second: NDArray[Float]) -> NDArray[Float]:
    """(K, …): two classes from the one vector that tells the second from the first."""
    if len(second) > 1:
        return second
    halves: NDArray[Float] = np.concatenate([-second, second]) * second.dtype.type(0.5)
    return halves


def _kept_gap(features: Features) -> float:
    return _EXACT if _is_few(features) else _GAP


def _is_few(features: Features) -> bool:
    return len(features) * features.dim <= _FEW


def _is_small(features: Features, k: int) -> bool:
    n = len(features)
    return k < 2 or n * min(n, features.dim) * k < _SMALL
