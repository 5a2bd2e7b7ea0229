"""`judge`: what heads say of rows that they have not seen.

M is the number of rows, K the number of classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.folds import stratified_folds
from embedcache.evaluation.splits import FOLDS
from embedcache.heads.features import Features
from embedcache.heads.forms.form import Form
from embedcache.heads.leaderboard import Choice
from embedcache.heads.logreg import softmax
from embedcache.heads.model import Training
from embedcache.heads.recipe import Recipe
from embedcache.heads.threads import one_thread

__all__ = ["answers", "judge"]


def answers(form: Form, features: Features) -> NDArray[np.float64]:
    """Probabilities (M, K) of rows that may lie on disk."""
    logits = np.empty((len(features), form.k))
    with one_thread():
        for place, block in features.blocks():
            logits[place] = form.logits(block.astype(np.float64))
    return softmax(logits)


def judge(
    training: Training,
    group: NDArray[np.int32],
    folds: NDArray[np.int64],
    recipe: Recipe,
) -> tuple[NDArray[np.float64], tuple[Choice, ...]]:
    """Out-of-fold probabilities (M, K), each outer fold by a choice that has not seen it.

    Args:
        training: The M rows.
        group: (M,) int32 codes, negative for none.
        folds: (M,) outer fold of each row.
        recipe: Followed anew for each fold, on the others.
    """
    probabilities = np.zeros((len(training.labels), training.k))
    numbers, choices = np.unique(folds), []
    for fold in numbers:
        rest, held_out = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        # A choice wants codes without gaps; the rest may miss a rare class.
        part, seen = training.part(rest)
        inner = stratified_folds(part.labels, group[rest], FOLDS, training.seed + 1 + int(fold))
        prefix = f"judging, fold {fold + 1} of {len(numbers)}: "
        choice = recipe.choose(part, group[rest], inner, prefix)
        made = choice.model.fit(part, choice.selected.record.setting)
        found = answers(made.form, training.features.take(held_out))
        probabilities[np.ix_(held_out, seen)] = found
        choices.append(choice)
    return probabilities, tuple(choices)
