"""`doubts_of`: labels of a run's own rows that are probably wrong, the most doubtful first.

M is the number of rows that take part, J of those that are judged, K the number of classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.label_errors import label_errors
from embedcache.heads.judging import Judged
from embedcache.heads.prepare import Prepared
from embedcache.heads.recipe import Made
from embedcache.heads.row_records import LabelDoubt

__all__ = ["doubts_of"]


def doubts_of(prepared: Prepared, judged: Judged, made: Made | None) -> tuple[LabelDoubt, ...]:
    """Every label in doubt, of training and of judged rows.

    Training rows are looked at out of fold, by the setting that was chosen on them, and
    judged rows by the shipped head. In a cross-validation they are the same rows, and the
    outer folds' heads, which chose for themselves, look at each once.

    Args:
        prepared: Rows, classes and sides.
        judged: The judged rows' probabilities.
        made: The shipped head, with its training rows' probabilities; None where nothing
            was fitted.
    """
    found = _doubts(prepared, prepared.judged, judged.probabilities, is_judged=True)
    if made is not None and not prepared.protocol.is_cross_validation:
        looked_at = prepared.train[~prepared.touched[prepared.train]]
        found += _doubts(prepared, looked_at, made.probabilities, is_judged=False)
    return tuple(sorted(found, key=lambda each: each.self_confidence - each.probability))


def _doubts(
    prepared: Prepared,
    which: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    *,
    is_judged: bool,
) -> list[LabelDoubt]:
    labels = prepared.labels[which]
    found = label_errors(labels, probabilities)
    rows = prepared.cleaned.rows[which[found.row]]
    is_trained = prepared.protocol.is_cross_validation or not is_judged
    return [
        LabelDoubt(
            int(row),
            prepared.problem.ids.text(int(row)),
            prepared.classes[labels[at]],
            prepared.classes[guess],
            float(probabilities[at, guess]),
            float(probabilities[at, labels[at]]),
            is_trained,
            is_judged,
        )
        for row, at, guess in zip(rows, found.row, found.suggestion, strict=True)
    ]
