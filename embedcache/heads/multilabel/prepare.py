"""`prepare_labels`: rows and sides of a problem whose rows have any number of labels.

M is the number of rows that take part, K the number of labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UnfittableError
from embedcache.evaluation.splits import FOLDS, SIDE_TEST, Protocol, choose_protocol
from embedcache.heads.cleaning import Cleaned
from embedcache.heads.multilabel.constant import varying
from embedcache.heads.prepare import check_untouched, touched_rows
from embedcache.heads.problem import Problem
from embedcache.heads.sides import (
    Sides,
    check_finite,
    check_nestable,
    check_units,
    cleaned_rows,
    counted,
    left_out_notes,
)

__all__ = ["PreparedLabels", "prepare_labels"]

_NAMED = 5


@dataclass(frozen=True, eq=False)
class PreparedLabels(Sides):
    """A problem of any number of labels a row, whose rows and sides are settled.

    All K labels of the problem are columns of the head, also one that no training row has. Rows
    that the backbone was tuned with take no part.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """K names."""
        return self.problem.classes

    @property
    def labels(self) -> NDArray[np.uint8]:
        """(M, K), 1 where the row has the label, else 0."""
        return np.asarray(self.problem.labels[self.cleaned.rows], np.uint8)


def prepare_labels(problem: Problem, *, on_conflict: str, seed: int) -> PreparedLabels:
    """Settle rows and sides.

    Args:
        problem: What to fit, multilabel.
        on_conflict: `error` or `drop`: see `cleaning.clean`.
        seed: Of the folds.

    Raises:
        UnfittableError: No head can be fitted to this, or none could be judged.
    """
    cleaned = cleaned_rows(problem, on_conflict=on_conflict)
    touched = touched_rows(problem.seen, problem.group)[cleaned.rows]
    check_untouched(problem, cleaned.rows, touched)
    cleaned = replace(cleaned, rows=cleaned.rows[~touched])
    rows = cleaned.rows
    labels = np.asarray(problem.labels[rows], np.uint8)
    _check_fittable(problem, rows, labels)
    protocol = choose_protocol(
        # A label on all rows, or on none, has nothing to say of the split.
        labels[:, varying(labels)],
        problem.split[rows],
        problem.group[rows],
        problem.groups,
        problem.digests[rows],
        seed=seed,
    )
    check_finite(problem, rows)
    if protocol.is_cross_validation:
        check_nestable(problem, rows)
    else:
        train = protocol.side != SIDE_TEST
        _check_fittable(problem, rows[train], labels[train])
    notes = _notes(problem, cleaned, protocol, labels)
    if touched.any():
        seen = counted(int(touched.sum()), "row")
        notes += (f"{seen} left out: the backbone was tuned with them",)
    return PreparedLabels(problem, cleaned, protocol, notes)


def _check_fittable(problem: Problem, rows: NDArray[np.int64], labels: NDArray[np.uint8]) -> None:
    """Refuse rows on which nothing can be learnt, or of which none can be held out."""
    if not varying(labels).any():
        raise UnfittableError(
            "a head needs a label that some training rows have and others lack",
            got=f"{len(rows)} rows, all with the same labels" if len(rows) else "no training rows",
            expected="two rows with it and two without, or more",
            hint="check the labels: embedcache inspect",
        )
    check_units(problem, rows)


def _notes(
    problem: Problem, cleaned: Cleaned, protocol: Protocol, labels: NDArray[np.uint8]
) -> tuple[str, ...]:
    notes = left_out_notes(cleaned)
    train, judged = protocol.side != SIDE_TEST, protocol.side == SIDE_TEST
    having, rows = labels[train].sum(axis=0, dtype=np.int64), int(train.sum())
    judged_having = labels[judged].sum(axis=0, dtype=np.int64)
    few = np.minimum(having, rows - having)
    for said, which in (
        ("no training row has, but judged rows do", (having == 0) & (judged_having > 0)),
        ("no row has", (having == 0) & (judged_having == 0)),
        ("every training row has", having == rows),
        ("fewer training rows than folds have, or lack", (few > 0) & (few < FOLDS)),
    ):
        names = [repr(problem.classes[at]) for at in np.flatnonzero(which)]
        if names:
            notes.append(f"{said}: {_listed(names)}")
    return tuple(notes)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
