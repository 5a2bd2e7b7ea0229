"""`Closed`: linear models without a parameter, whose weights are given by a formula."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.features import Features
from embedcache.heads.forms.linear import Linear
from embedcache.heads.ladder import Ladder, Setting
from embedcache.heads.model import Fit, Scored, Training
from embedcache.heads.models.base import Base
from embedcache.heads.threads import one_thread

__all__ = ["Closed"]


class Closed(Base, ABC):
    """A linear model whose scores need a temperature."""

    calibrated = False

    ladders: tuple[Ladder, ...] = (Ladder("", (0.0,)),)
    """One setting: no parameter."""

    @abstractmethod
    def solve(self, training: Training) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights (K, D) and intercepts (K,) for raw features."""

    def fold(self, training: Training, held_out: Features) -> ClosedFold:
        """Keep both sides."""
        return ClosedFold(self, training, held_out)

    def fit(self, training: Training, setting: Setting) -> Fit:
        """Solve, and divide by the temperature."""
        with one_thread():
            weights, intercept = self.solve(training)
        temperature = setting["temperature"]
        return Fit(Linear(weights / temperature, intercept / temperature))


@dataclass(frozen=True, eq=False)
class ClosedFold:
    """Training rows and the rows to score."""

    model: Closed
    training: Training
    held_out: Features

    def score(self, setting: Setting, tolerance: float) -> Scored:  # noqa: ARG002  # it has neither
        """Scores of the held-out rows."""
        with one_thread():
            weights, intercept = self.model.solve(self.training)
            scores = self.held_out.array().astype(np.float64) @ weights.T
        return Scored(scores + intercept)
