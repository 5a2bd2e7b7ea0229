"""`prepare`: the rows that take part, their classes and sides, settled before anything is fitted.

M is the number of rows that take part, D the embedding dimension, K the number
of classes that have training rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UnfittableError
from embedcache.evaluation.splits import FOLDS, SIDE_TEST, Protocol, choose_protocol
from embedcache.evaluation.units import row_units
from embedcache.heads.cleaning import Cleaned
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

__all__ = ["Prepared", "check_untouched", "prepare", "touched_rows"]

_LEAST_UNTOUCHED = 10
"""Fewer rows say nothing: one more that is right is ten points."""


@dataclass(frozen=True, eq=False)
class Prepared(Sides):
    """A problem of one class a row, whose rows, classes and sides are settled.

    Attributes:
        classes: K names of classes with training rows, then of those that only
            judged rows have, then of those that only unused rows have.
        k: K.
        judged_k: Number of classes that training or judged rows have.
        code: From the problem's label codes to positions in `classes`, −1 for a
            class without rows.
        touched: (M,) bool, rows that the backbone has seen, or that belong to a group of which
            it has seen one: they are fitted at most.
    """

    classes: tuple[str, ...]
    k: int
    judged_k: int
    code: NDArray[np.int32]
    touched: NDArray[np.bool_]

    @property
    def labels(self) -> NDArray[np.int32]:
        """(M,) positions in `classes`."""
        return self.code[self.problem.labels[self.cleaned.rows]]

    @property
    def prior(self) -> NDArray[np.float64] | None:
        """(K, D): the problem's, of the classes that are fitted."""
        if self.problem.prior is None:
            return None
        # `code` is −1, or one position for each class: its inverse.
        return self.problem.prior[np.argsort(self.code)[(self.code < 0).sum() :][: self.k]]


def prepare(problem: Problem, *, on_conflict: str, seed: int, reads_test: bool = True) -> Prepared:
    """Settle rows, sides and classes.

    Args:
        problem: What to fit.
        on_conflict: `error` or `drop`: see `cleaning.clean`.
        seed: Of the folds.
        reads_test: Whether the test rows' features are looked at, to be judged later.

    Raises:
        UnfittableError: No head can be fitted to this, or none could be judged.
    """
    cleaned = cleaned_rows(problem, on_conflict=on_conflict)
    rows = cleaned.rows
    touched = touched_rows(problem.seen, problem.group)[rows]
    check_untouched(problem, rows, touched)
    compact = np.unique(problem.labels[rows], return_inverse=True)[1]
    _check_fittable(problem, rows, compact)
    protocol = choose_protocol(
        compact,
        problem.split[rows],
        problem.group[rows],
        problem.groups,
        problem.digests[rows],
        seed=seed,
        touched=touched,
    )
    train = rows[protocol.side != SIDE_TEST]
    check_finite(problem, rows if reads_test else train)
    if protocol.is_cross_validation:
        check_nestable(problem, rows[~touched])
    else:
        _check_fittable(problem, train, problem.labels[train])
    fitted, used = np.unique(problem.labels[train]), np.unique(problem.labels[rows])
    labelled = np.unique(problem.labels[problem.labels >= 0])
    order = np.concatenate(
        [fitted, np.setdiff1d(used, fitted), np.setdiff1d(labelled, used)]
    ).astype(np.int64)
    code = np.full(len(problem.classes), -1, np.int32)
    code[order] = np.arange(len(order))
    return Prepared(
        problem,
        cleaned,
        protocol,
        _notes(problem, cleaned, protocol, fitted) + _note_of_touched(touched),
        tuple(problem.classes[which] for which in order),
        len(fitted),
        len(used),
        code,
        touched,
    )


def touched_rows(seen: NDArray[np.bool_] | None, group: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Rows that were seen, and those that err together with one, (N,) bool.

    Args:
        seen: (N,) bool; None for none.
        group: (N,) int32 codes, negative for none.
    """
    if seen is None:
        return np.zeros(len(group), bool)
    units = row_units(group)
    return np.isin(units, units[seen])


def check_untouched(problem: Problem, rows: NDArray[np.int64], touched: NDArray[np.bool_]) -> None:
    """Refuse to choose and judge by next to nothing.

    Raises:
        UnfittableError: Too few of these rows are not touched.
    """
    left = rows[~touched]
    if not touched.any() or len(left) >= _LEAST_UNTOUCHED:
        return
    raise UnfittableError(
        "the backbone has seen these images: they can neither choose a head nor judge one",
        where=problem.backbone,
        got=f"{len(left):,} of {len(rows):,} labelled rows that it has not seen",
        expected=f"{_LEAST_UNTOUCHED} or more",
        hint="label images that it has not seen, and extract them; until then `predict` with "
        "the run that shipped the backbone",
    )


def _note_of_touched(touched: NDArray[np.bool_]) -> tuple[str, ...]:
    if not touched.any():
        return ()
    rows = counted(int(touched.sum()), "row")
    return (f"{rows} that the backbone was tuned with: fitted, neither chosen nor judged by",)


def _check_fittable(problem: Problem, rows: NDArray[np.int64], labels: NDArray[np.integer]) -> None:
    """Refuse rows on which nothing can be learnt, or nothing be chosen by held-out rows."""
    names = sorted({problem.classes[which] for which in np.unique(problem.labels[rows])})
    if len(names) < 2:
        raise UnfittableError(
            "a classifier needs two classes or more to be fitted on",
            got=f"only {names[0]!r} in {len(rows)} rows" if names else "no training rows",
            expected="at least two classes with two rows each",
            hint="check the labels: embedcache inspect",
        )
    check_units(problem, rows)
    group = problem.group[rows]
    units = row_units(group)
    # Distinct (class, unit) pairs: a class in one unit is either fitted or judged, never both.
    pairs = np.unique(np.stack([labels, units], axis=1), axis=0)
    if np.bincount(pairs[:, 0]).max() < 2:
        what = "group" if (group >= 0).any() else "row"
        raise UnfittableError(
            f"every class has only one {what}, so none can be held out",
            got=f"{len(names)} classes in {len(rows)} rows",
            expected=f"at least two {what}s of a class",
            hint="label more data",
        )


def _notes(
    problem: Problem, cleaned: Cleaned, protocol: Protocol, fitted: NDArray[np.int32]
) -> tuple[str, ...]:
    notes = left_out_notes(cleaned)
    judged = cleaned.rows[protocol.side == SIDE_TEST]
    strange = np.setdiff1d(problem.labels[judged], fitted)
    if len(strange):
        names = ", ".join(repr(problem.classes[which]) for which in strange[:5])
        rows = int(np.isin(problem.labels[judged], strange).sum())
        notes.append(f"{counted(rows, 'judged row')} of classes without training rows: {names}")
    train = cleaned.rows[protocol.side != SIDE_TEST]
    sizes = np.bincount(problem.labels[train], minlength=len(problem.classes))
    rare = [which for which in fitted if sizes[which] < FOLDS]
    if rare:
        names = ", ".join(f"{problem.classes[which]!r} ({sizes[which]})" for which in rare[:5])
        more = ", …" if len(rare) > 5 else ""
        notes.append(f"fewer training rows than folds: {names}{more}")
    return tuple(notes)
