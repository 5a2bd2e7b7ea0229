"""`judge` and `cross_judge`: what heads say of rows that they have not seen.

J is the number of judged rows, K the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.folds import NEVER, folds_around
from embedcache.evaluation.splits import FOLDS
from embedcache.heads.features import Features
from embedcache.heads.forms.form import Form
from embedcache.heads.logreg import softmax
from embedcache.heads.model import Training
from embedcache.heads.recipe import Made, Recipe
from embedcache.heads.threads import one_thread

__all__ = ["Judged", "answers", "cross_judge", "judge", "logits_of"]


@dataclass(frozen=True, eq=False)
class Judged:
    """Answers to rows, each by a head that has not seen the row.

    Attributes:
        probabilities: (J, K) float64.
        temperature: (J,) float64 of the row's head: softmax(temperature · log p) is what
            it would have said without one.
        threshold: (J,) float64, from which probability on the row's head answers; inf
            where none could be shown to suffice, 0 where nobody asked.
        outer: What each outer fold made; empty where the shipped head itself was judged.
    """

    probabilities: NDArray[np.float64]
    temperature: NDArray[np.float64]
    threshold: NDArray[np.float64]
    outer: tuple[Made, ...] = ()

    @classmethod
    def nothing(cls, rows: int, k: int, outer: tuple[Made, ...] = ()) -> Judged:
        """No answer yet."""
        return cls(np.zeros((rows, k)), np.ones(rows), np.zeros(rows), outer)

    def write(
        self, rows: NDArray[np.int64], classes: NDArray[np.integer], made: Made, held_out: Features
    ) -> None:
        """Enter a head's answers.

        Args:
            rows: Which of the J rows they are.
            classes: Columns of the head's classes.
            made: The head.
            held_out: The rows' features.
        """
        self.probabilities[np.ix_(rows, classes)] = answers(made.fit.form, held_out)
        self.temperature[rows] = made.temperature
        if made.threshold is not None:
            least = made.threshold.threshold
            self.threshold[rows] = np.inf if least is None else least


def answers(form: Form, features: Features) -> NDArray[np.float64]:
    """Probabilities (J, K) of rows that may lie on disk."""
    return softmax(logits_of(form, features))


def logits_of(form: Form, features: Features) -> NDArray[np.float64]:
    """Logits (J, K) of rows that may lie on disk."""
    logits = np.empty((len(features), form.k))
    with one_thread():
        for place, block in features.blocks():
            logits[place] = form.logits(block.astype(np.float64))
    return logits


def judge(made: Made, held_out: Features, k: int) -> Judged:
    """What the shipped head says of rows that were held out.

    Args:
        made: The head.
        held_out: The J rows.
        k: K, at least the head's: judged rows may be of classes that it does not know.
    """
    judged = Judged.nothing(len(held_out), k)
    judged.write(np.arange(len(held_out)), np.arange(made.fit.form.k), made, held_out)
    return judged


def cross_judge(
    training: Training, group: NDArray[np.int32], folds: NDArray[np.int64], recipe: Recipe
) -> Judged:
    """What heads of the other outer folds say of each row.

    Args:
        training: The J rows, and those that are never judged.
        group: Their int32 codes, negative for none.
        folds: Outer fold of each, `NEVER` for those that every head is fitted on.
        recipe: Followed anew for each fold, on the others.
    """
    of_any = np.flatnonzero(folds != NEVER)
    judged = Judged.nothing(len(of_any), training.k)
    numbers, outer = np.unique(folds[of_any]), []
    for fold in numbers:
        rest, held_out = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        # A choice wants codes without gaps; the rest may miss a rare class.
        part, seen = training.part(rest)
        part = recipe.weighed(part, training.labels[rest])
        touched, seed = folds[rest] == NEVER, training.seed + 1 + int(fold)
        inner = folds_around(part.labels, group[rest], touched, FOLDS, seed)
        prefix = f"judging, fold {fold + 1} of {len(numbers)}: "
        made = recipe.make(part, group[rest], inner, prefix)
        place = np.searchsorted(of_any, held_out)
        judged.write(place, seen, made, training.features.take(held_out))
        outer.append(made)
    return Judged(judged.probabilities, judged.temperature, judged.threshold, tuple(outer))
