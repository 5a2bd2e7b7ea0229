"""Out-of-fold probabilities of a head at one setting, on all training rows or a part of them.

N is the number of rows, K the number of classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcache.decision.training_rows import TrainingRows
from embedcache.evaluation.folds import stratified_folds
from embedcache.heads.ladder import Setting
from embedcache.heads.logreg import softmax
from embedcache.heads.model import Model, Training

__all__ = ["PARTS", "SHARES", "curve_errors", "out_of_fold"]

PARTS = 8
"""The smallest training set of the learning curve is one part of so many."""

SHARES = (1, 2, 4, 8)
"""Parts that each point of the learning curve is trained on."""

_TOLERANCE = 6e-4
"""Of the gradient of the mean loss, relative to its start log K / K: ranks settings as convergence
would (see `heads.selection`), so it tells right rows from wrong ones."""


def out_of_fold(
    rows: TrainingRows, model: Model, setting: Setting, fitted: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Probabilities (N, K) of every row, by a head that has not seen its fold.

    Args:
        rows: The N rows.
        model: Kind of head.
        setting: Its parameters; a `temperature` divides the scores.
        fitted: (N,), which rows may be fitted; None for all.
    """
    training, folds = rows.training, rows.folds
    scores = np.full((len(rows), training.k), -np.inf)
    tolerance = _TOLERANCE * float(np.log(training.k)) / training.k
    may = np.ones(len(rows), np.bool_) if fitted is None else fitted
    for number in np.unique(folds):
        rest, held_out = np.flatnonzero((folds != number) & may), np.flatnonzero(folds == number)
        seen, codes = np.unique(training.labels[rest], return_inverse=True)
        if len(seen) < 2:  # an eighth of few rows: there is nothing to fit
            scores[held_out] = np.isin(np.arange(training.k), seen)
            continue
        part = Training(training.features.take(rest), codes, training.seed)
        scored = model.fold(part, training.features.take(held_out)).score(setting, tolerance)
        scores[np.ix_(held_out, seen)] = scored.scores
    return softmax(scores / setting.get("temperature", 1.0))


def curve_errors(
    rows: TrainingRows, model: Model, setting: Setting, last: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Errors of heads that were fitted on an eighth, a quarter, half and all of the rows.

    The parts are nested, stratified, and keep groups whole; the setting stays, as a prior
    stays while data grow. Every point is judged on the same N rows.

    Args:
        rows: The N rows.
        model: Kind of head.
        setting: Its parameters.
        last: (N,) errors of the last point, which is known already.

    Returns:
        Number of rows that each point was fitted on, in the mean over folds, (4,), and the
        errors, (4, N).
    """
    part = stratified_folds(rows.labels, rows.group, PARTS, rows.training.seed + 1)
    folds = int(rows.folds.max()) + 1
    wrong, sizes = [], []
    for share in SHARES:
        fitted = part < share
        sizes.append(int(fitted.sum()) * (folds - 1) // folds)
        if share == SHARES[-1]:
            wrong.append(last)
            continue
        found = out_of_fold(rows, model, setting, fitted)
        wrong.append(found.argmax(axis=1) != rows.labels)
    return np.array(sizes), np.stack(wrong)
