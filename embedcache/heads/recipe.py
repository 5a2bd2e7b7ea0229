"""`Recipe`: what was asked for, whichever rows it is followed on.

n is the number of rows, K the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.abstention import Threshold, choose_threshold
from embedcache.evaluation.folds import NEVER
from embedcache.evaluation.metrics import row_log_loss
from embedcache.evaluation.units import paired_difference
from embedcache.heads.class_weights import ClassWeights
from embedcache.heads.leaderboard import Choice, choose
from embedcache.heads.logreg import softmax
from embedcache.heads.model import Fit, Training
from embedcache.heads.out_of_fold import out_of_fold
from embedcache.heads.search import Progress
from embedcache.heads.temperature import fit_temperature

__all__ = ["Made", "Recipe"]


@dataclass(frozen=True, eq=False)
class Made:
    """A head that followed a recipe, and what it owes to rows out of fold.

    Attributes:
        choice: Model and setting.
        fit: On all of the n rows, the temperature folded in.
        temperature: What the scores were divided by.
        probabilities: (n, K) float64, out of fold, after the temperature; of those of the n
            rows that a fold holds out.
        threshold: From which probability on to answer; None where nobody asked.
    """

    choice: Choice
    fit: Fit
    temperature: float
    probabilities: NDArray[np.float64]
    threshold: Threshold | None


@dataclass(frozen=True, eq=False)
class Recipe:
    """How a head is made of training rows.

    Attributes:
        model: One of `names.MODEL_NAMES`, or `auto`.
        metric: What chooses: one of `tried.METRICS`.
        values: Exactly these values of the model's parameter; None for its own grid.
        abstain_precision: Wanted of the rows that get an answer; None to answer all.
        progress: Told what is being computed.
        class_weights: How much rows of each class count; None where all count the same.
    """

    model: str
    metric: str
    values: tuple[float, ...] | None
    abstain_precision: float | None
    progress: Progress | None
    class_weights: ClassWeights | None = None

    def row_weights(self, labels: NDArray[np.integer]) -> NDArray[np.float64] | None:
        """Weights (n,) of rows of these codes, (n,), from them alone."""
        return None if self.class_weights is None else self.class_weights.of_rows(labels)

    def weighed(self, part: Training, labels: NDArray[np.integer]) -> Training:
        """A part of the rows, weighed by its own labels, (n,) codes as the rule knows them."""
        return replace(part, weights=self.row_weights(labels))

    def make(
        self,
        training: Training,
        group: NDArray[np.int32],
        folds: NDArray[np.int64],
        prefix: str = "",
        *,
        fitted: Training | None = None,
    ) -> Made:
        """Choose on these rows, find the temperature on them out of fold, fit on all of them.

        The temperature of cross-validated scores serves the one fit to all rows, as in
        scikit-learn's `CalibratedClassifierCV(ensemble=False)`.

        Args:
            training: The n rows.
            group: (n,) int32 codes, negative for none.
            folds: (n,) fold of each row; `NEVER` for one that is fitted only.
            prefix: Of what progress is told.
            fitted: Other rows to fit, of the same classes; by default all n.
        """

        def told(text: str) -> None:
            if self.progress:
                self.progress(prefix + text)

        choice = choose(
            self.model,
            training,
            group,
            folds,
            metric=self.metric,
            values=self.values,
            progress=told,
        )
        model, setting = choice.model, choice.selected.record.setting
        told(f"calibrating {model.name}")
        held_out = folds != NEVER
        selected = choice.selected
        scores = out_of_fold(model, training, folds, setting, selected.folds)[held_out]
        labels, units = training.labels[held_out], group[held_out]
        counts = None if training.weights is None else training.weights[held_out]
        made = selected.fit(model, training) if fitted is None else model.fit(fitted, setting)
        if model.calibrated:
            temperature = _temperature(scores, labels, counts, units)
            made = Fit(made.form.cooled(temperature), made.converged, made.iterations)
        else:
            temperature = setting["temperature"]  # selection found it, and the fit applied it
        probabilities = softmax(scores / temperature)
        threshold = None
        if self.abstain_precision is not None:
            threshold = choose_threshold(labels, probabilities, units, self.abstain_precision)
        # Without the folds' solver, which holds as much as the features.
        choice = replace(choice, selected=replace(selected, folds=None))
        return Made(choice, made, temperature, probabilities, threshold)


def _temperature(
    scores: NDArray[np.float64],
    labels: NDArray[np.integer],
    weights: NDArray[np.float64] | None,
    group: NDArray[np.int32],
) -> float:
    """The temperature of the least log-loss, or 1 where that gains less than one paired error.

    As among settings, the simpler of what cannot be told apart: a dozen rows would ask for
    a temperature that their own smoothing made.
    """
    counts = 1.0 if weights is None else weights
    temperature = fit_temperature(scores, labels, weights)
    mean, error = paired_difference(
        counts * row_log_loss(labels, softmax(scores / temperature)),
        counts * row_log_loss(labels, softmax(scores)),
        group,
    )
    return temperature if mean < -error else 1.0
