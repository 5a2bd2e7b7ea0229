"""`mark_doubts`: labels that rows have and seem to lack, or lack and seem to have.

n is the number of rows, K the number of labels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.label_errors import label_errors
from embedcache.heads.multilabel.fitting import FittedLabels
from embedcache.heads.multilabel.judging import JudgedLabels
from embedcache.heads.multilabel.prepare import PreparedLabels
from embedcache.heads.multilabel.report import MarkDoubt

__all__ = ["mark_doubts"]


def mark_doubts(
    prepared: PreparedLabels, judged: JudgedLabels, made: FittedLabels
) -> tuple[MarkDoubt, ...]:
    """Every mark in doubt, of training and of judged rows, the most doubtful first.

    Each label is two classes, its presence and its absence, so each is judged by its own
    standard. Rows are looked at by the heads that `doubts.doubts_of` asks.

    Args:
        prepared: Rows and sides.
        judged: The judged rows' probabilities.
        made: The shipped head, with its training rows' probabilities.
    """
    found = _doubts(prepared, prepared.judged, judged.probabilities, is_judged=True)
    if not prepared.protocol.is_cross_validation:
        found += _doubts(prepared, prepared.train, made.chosen.probabilities, is_judged=False)
    return tuple(sorted(found, key=lambda each: -abs(each.has - each.probability)))


def _doubts(
    prepared: PreparedLabels,
    which: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    *,
    is_judged: bool,
) -> list[MarkDoubt]:
    marks, rows = prepared.labels[which], prepared.cleaned.rows[which]
    is_trained = prepared.protocol.is_cross_validation or not is_judged
    found = []
    for label, name in enumerate(prepared.names):
        present = probabilities[:, label]
        both = np.stack([1 - present, present], axis=1)
        found += [
            MarkDoubt(
                int(rows[at]),
                prepared.problem.ids.text(int(rows[at])),
                name,
                bool(marks[at, label]),
                float(present[at]),
                is_trained,
                is_judged,
            )
            for at in label_errors(marks[:, label], both).row
        ]
    return found
