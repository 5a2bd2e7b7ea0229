"""`Model`: what every kind of head can do, so that selection and artefact are written once.

N is the number of training rows, H of held-out rows, D the embedding dimension,
K the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.features import Features
from embedcache.heads.forms.form import Form
from embedcache.heads.ladder import Ladder, Setting

__all__ = ["Fit", "Fold", "Glancing", "Model", "Refitting", "Scored", "Scores", "Training"]


class Scores(Protocol):
    """Scores (H, K) that are computed when rows of them are asked for: an array, or less memory."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: NDArray[np.integer], /) -> NDArray[np.floating]: ...


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of held-out rows by a fit at one setting.

    Attributes:
        source: (H, K) logits, of any scale where the model is not calibrated.
        converged: Whether the solver reached its tolerance.
        iterations: Iterations of the solver, 0 for a closed form.
    """

    source: Scores
    converged: bool = True
    iterations: int = 0

    @property
    def scores(self) -> NDArray[np.floating]:
        """All of them, (H, K)."""
        if isinstance(self.source, np.ndarray):
            return self.source
        return self.source[np.arange(len(self.source))]

    def of(self, rows: NDArray[np.integer]) -> NDArray[np.floating]:
        """Those of some rows, (n, K)."""
        return self.source[rows]


class Fold(Protocol):
    """Training rows made ready, and held-out rows to score."""

    def score(self, setting: Setting, tolerance: float) -> Scored:
        """Fit at a setting and score the held-out rows.

        Args:
            setting: The parameters.
            tolerance: Largest component of the gradient of the mean loss that ranks
                settings as convergence would.
        """
        ...


@runtime_checkable
class Glancing(Protocol):
    """A fold that can tell a hopeless setting from a fair one long before it has converged."""

    def glance(self, setting: Setting) -> Scored:
        """Scores after a few passes, from which `score` goes on."""
        ...


@runtime_checkable
class Refitting(Fold, Protocol):
    """A fold that has made ready what a fit to all rows needs too."""

    def refit(self, setting: Setting) -> Fit:
        """Fit to keep, to all training rows; soonest after `score` at the same setting."""
        ...


@dataclass(frozen=True, eq=False)
class Fit:
    """A fit that is kept.

    Attributes:
        form: What predicts from raw features.
        converged: Whether the solver reached its tolerance.
        iterations: Iterations of the solver, 0 for a closed form.
    """

    form: Form
    converged: bool = True
    iterations: int = 0


@dataclass(frozen=True, eq=False)
class Training:
    """Rows to fit.

    Attributes:
        features: Of the N rows.
        labels: (N,) in 0 to K − 1, each class at least once; or (N, K) marks, 1 where a row has
            a label and 0 where not, each label on some rows and not on all: only the models of
            `names.MULTILABEL_MODELS` take them, and give each label a score of its own.
        seed: Of whatever is drawn.
        prior: (K, D) float64, weights for features of length 1 that a model may shrink
            towards; None for none.
        weights: (N,) float64 above 0, how much each row counts; None where all count 1.
    """

    features: Features
    labels: NDArray[np.integer]
    seed: int
    prior: NDArray[np.float64] | None = None
    weights: NDArray[np.float64] | None = None

    @property
    def is_multilabel(self) -> bool:
        """Whether a row may have any number of labels."""
        return self.labels.ndim == 2

    @property
    def k(self) -> int:
        """K."""
        return self.labels.shape[1] if self.is_multilabel else int(self.labels.max()) + 1

    @property
    def signs(self) -> NDArray[np.float64]:
        """(N, K), 1 where a row is of the class, or has the label, and −1 elsewhere."""
        if self.is_multilabel:
            return np.where(self.labels == 1, 1.0, -1.0)
        return np.where(self.labels[:, None] == np.arange(self.k), 1.0, -1.0)

    def part(self, rows: NDArray[np.integer]) -> tuple[Training, NDArray[np.integer]]:
        """Some of the rows, with codes without gaps, and which classes those are."""
        codes = self.labels[rows]
        seen: NDArray[np.integer] = np.arange(self.k)
        if not self.is_multilabel:
            seen, codes = np.unique(codes, return_inverse=True)
        prior = None if self.prior is None else self.prior[seen]
        weights = None if self.weights is None else self.weights[rows]
        return Training(self.features.take(rows), codes, self.seed, prior, weights), seen


class Model(Protocol):
    """A kind of head.

    Attributes:
        name: As in `--model`.
        calibrated: Whether its scores are logits of probabilities; if not, selection
            adds to each setting the `temperature` that makes them so.
        weighs: Whether it honours `Training.weights`; if not, it is never given any.
        ladders: The settings worth trying, the simplest ladder first.
    """

    name: str
    calibrated: bool
    weighs: bool
    ladders: tuple[Ladder, ...]

    def check(self, setting: Setting, rows: int) -> None:
        """Refuse a setting that `rows` training rows cannot have.

        Raises:
            UsageError: With the limit.
        """
        ...

    def fold(self, training: Training, held_out: Features) -> Fold:
        """Make training rows ready for fits at one setting after another."""
        ...

    def out_of_fold(self, training: Training, folds: NDArray[np.int64]) -> Fold:
        """What scores every row by a fit to the other folds, (N,) their numbers."""
        ...

    def leave_one_out(self, training: Training) -> Fold | None:
        """A fold that scores every row as if it had been left out; None if that is not cheap."""
        ...

    def fit(self, training: Training, setting: Setting) -> Fit:
        """Fit to keep."""
        ...
