"""`OneLabel`: one label against its absence, as a problem of two classes for any `Model`.

n is the number of rows, D the embedding dimension.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.features import Features
from embedcache.heads.forms.linear import Linear
from embedcache.heads.ladder import Setting
from embedcache.heads.model import Fold, Model, Scored, Training
from embedcache.heads.temperature import fit_temperature

__all__ = ["OneLabel", "OutOfFold", "Scores"]


@dataclass(frozen=True, eq=False)
class Scores:
    """Out-of-fold scores of one label at one setting.

    Attributes:
        logits: (n,) float64 of its presence, after the temperature.
        temperature: What they were divided by: 1 where the model's scores are logits.
        converged: Whether the fits reached their tolerance.
        iterations: Of the solver, all folds together.
    """

    logits: NDArray[np.float64]
    temperature: float
    converged: bool
    iterations: int


@dataclass(frozen=True, eq=False)
class OneLabel:
    """Rows that have a label or lack it.

    Attributes:
        model: Fits it.
        features: Of the n rows.
        has: (n,) uint8, 1 where the row has the label.
        seed: Of whatever the model draws.
    """

    model: Model
    features: Features
    has: NDArray[np.uint8]
    seed: int

    @property
    def training(self) -> Training:
        """The two classes: 0 without the label, 1 with it."""
        return Training(self.features, self.has.astype(np.int32), self.seed)

    @property
    def is_constant(self) -> bool:
        """Whether every row has it, or none: nothing to fit."""
        return bool(self.has.min() == self.has.max())

    @property
    def constant_logit(self) -> float:
        """Log-odds of the label, whatever the features say.

        Half a row is added to either side, so they are finite where every row has the label,
        or none (Haldane 1956, *The estimation and significance of the logarithm of a ratio
        of frequencies*).
        """
        count = int(self.has.sum())
        return float(np.log((count + 0.5) / (len(self.has) - count + 0.5)))

    def out_of_fold(self, folds: NDArray[np.int64]) -> OutOfFold:
        """What scores every row by fits to the other folds, (n,) their numbers."""
        scorer = None if self.is_constant else self.model.out_of_fold(self.training, folds)
        return OutOfFold(self, scorer)

    def fit(self, setting: Setting, temperature: float) -> tuple[Linear, bool, int]:
        """Fit to keep, to all rows.

        Args:
            setting: The parameters.
            temperature: What the scores of a model that is not calibrated are divided by.

        Returns:
            Weights (1, D) and intercept (1,) of the label's logit, whether the solver
            converged, and its iterations.
        """
        if self.is_constant:
            zeros = np.zeros((1, self.features.dim))
            return Linear(zeros, np.array([self.constant_logit])), True, 0
        own = setting if self.model.calibrated else {**setting, "temperature": temperature}
        fit = self.model.fit(self.training, own)
        assert isinstance(fit.form, Linear)
        weights, intercept = fit.form.weights, fit.form.intercept
        line = Linear(weights[1:] - weights[:1], intercept[1:] - intercept[:1])
        return line, fit.converged, fit.iterations


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """A label's folds made ready, for one setting after another."""

    label: OneLabel
    scorer: Fold | None

    def at(self, setting: Setting, tolerance: float) -> Scores:
        """Scores at a setting.

        A row whose fit knew only rows with the label, or only rows without, gets the
        log-odds of all rows.
        """
        has, constant = self.label.has, self.label.constant_logit
        if self.scorer is None:
            return Scores(np.full(len(has), constant), 1.0, converged=True, iterations=0)
        found: Scored = self.scorer.score(setting, tolerance)
        scores = found.scores.astype(np.float64)
        temperature = 1.0
        if not self.label.model.calibrated:
            temperature = fit_temperature(scores, has.astype(np.int32))
        both = np.isfinite(scores).all(axis=1)
        logits = np.full(len(has), constant)
        logits[both] = (scores[both, 1] - scores[both, 0]) / temperature
        return Scores(logits, temperature, found.converged, found.iterations)
