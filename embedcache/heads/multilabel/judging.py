"""`judge_labels` and `cross_judge_labels`: what heads say of rows that they have not seen.

J is the number of judged rows, K the number of labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.folds import stratified_folds
from embedcache.evaluation.splits import FOLDS, strata
from embedcache.heads.features import Features
from embedcache.heads.judging import logits_of
from embedcache.heads.logreg import sigmoid
from embedcache.heads.multilabel.fitting import FittedLabels, LabelRecipe, fit_labels

__all__ = ["JudgedLabels", "cross_judge_labels", "judge_labels"]


@dataclass(frozen=True, eq=False)
class JudgedLabels:
    """Answers to rows, each by a head that has not seen the row.

    Attributes:
        probabilities: (J, K) float64, of the presence of each label.
        outer: What each outer fold made; empty where the shipped head itself was judged.
    """

    probabilities: NDArray[np.float64]
    outer: tuple[FittedLabels, ...] = ()


def judge_labels(made: FittedLabels, held_out: Features) -> JudgedLabels:
    """What the shipped head says of J rows that were held out."""
    return JudgedLabels(sigmoid(logits_of(made.fit.form, held_out)))


def cross_judge_labels(
    recipe: LabelRecipe,
    features: Features,
    labels: NDArray[np.uint8],
    group: NDArray[np.int32],
    folds: NDArray[np.int64],
) -> JudgedLabels:
    """What heads of the other outer folds say of each row.

    Args:
        recipe: Followed anew for each fold, on the others.
        features: Of the J rows.
        labels: (J, K), 1 where the row has the label, else 0.
        group: (J,) int32 codes, negative for none.
        folds: (J,) outer fold of each row.
    """
    probabilities = np.empty(labels.shape)
    numbers, outer = np.unique(folds), []
    for fold in numbers:
        rest, held_out = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        part, seed = labels[rest], recipe.seed + 1 + int(fold)
        inner = stratified_folds(strata(part), group[rest], FOLDS, seed)
        prefix = f"judging, fold {fold + 1} of {len(numbers)}: "
        made = fit_labels(recipe, features.take(rest), part, group[rest], inner, prefix)
        probabilities[held_out] = sigmoid(logits_of(made.fit.form, features.take(held_out)))
        outer.append(made)
    return JudgedLabels(probabilities, tuple(outer))
