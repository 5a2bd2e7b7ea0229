"""`prepare`: the rows that take part, their classes and sides, settled before anything is fitted.

N is the number of rows of the problem, M of those that take part, D the
embedding dimension, K the number of classes that have training rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UnfittableError
from embedcache.evaluation.splits import FOLDS, SIDE_TEST, Protocol, choose_protocol
from embedcache.evaluation.units import row_units
from embedcache.heads.cleaning import Cleaned, clean
from embedcache.heads.features import Features
from embedcache.heads.problem import Problem

__all__ = ["Prepared", "check_finite", "prepare", "touched_rows"]

_BLOCK = 4096  # rows looked at together
_LEAST_UNTOUCHED = 10
"""Fewer rows say nothing: one more that is right is ten points."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A problem whose rows, classes and sides are settled.

    Attributes:
        problem: As it was given.
        cleaned: Which rows take part, and why others don't.
        protocol: Sides of the M rows.
        classes: K names of classes with training rows, then of those that only
            judged rows have, then of those that only unused rows have.
        k: K.
        judged_k: Number of classes that training or judged rows have.
        code: From the problem's label codes to positions in `classes`, −1 for a
            class without rows.
        notes: What a person should know before anything is fitted.
        touched: (M,) bool, rows that the backbone has seen, or that belong to a group of which
            it has seen one: they are fitted at most.
    """

    problem: Problem
    cleaned: Cleaned
    protocol: Protocol
    classes: tuple[str, ...]
    k: int
    judged_k: int
    code: NDArray[np.int32]
    notes: tuple[str, ...]
    touched: NDArray[np.bool_]

    @property
    def labels(self) -> NDArray[np.int32]:
        """(M,) positions in `classes`."""
        return self.code[self.problem.labels[self.cleaned.rows]]

    @property
    def group(self) -> NDArray[np.int32]:
        """(M,) group codes, −1 for none."""
        return self.problem.group[self.cleaned.rows]

    @property
    def train(self) -> NDArray[np.int64]:
        """Which of the M rows the shipped head is fitted on: in a cross-validation all."""
        return np.flatnonzero(self.protocol.side != SIDE_TEST)

    @property
    def judged(self) -> NDArray[np.int64]:
        """Which of the M rows are judged: in a cross-validation all that are not touched."""
        if self.protocol.is_cross_validation:
            return np.flatnonzero(self.protocol.folds >= 0)
        return np.flatnonzero(self.protocol.side == SIDE_TEST)

    @property
    def prior(self) -> NDArray[np.float64] | None:
        """(K, D): the problem's, of the classes that are fitted."""
        if self.problem.prior is None:
            return None
        # `code` is −1, or one position for each class: its inverse.
        return self.problem.prior[np.argsort(self.code)[(self.code < 0).sum() :][: self.k]]

    def features(self, chosen: NDArray[np.int64]) -> Features:
        """The features of some of the M rows, not read yet."""
        return Features(self.problem.features, self.cleaned.rows[chosen])


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
    problem.check()
    cleaned = clean(problem, on_conflict=on_conflict)
    rows = cleaned.rows
    if not len(rows):
        raise UnfittableError(
            "no row has a usable label",
            got=f"{len(problem)} rows, {cleaned.unlabelled} unlabelled, "
            f"{cleaned.conflicting} in conflict",
            expected="two classes with two rows each, or more",
            hint="label the data and run extract again: labels alone embed nothing",
        )
    touched = touched_rows(problem.seen, problem.group)[rows]
    _check_untouched(problem, rows, touched)
    compact = np.unique(problem.labels[rows], return_inverse=True)[1]
    _check_fittable(problem, rows, compact, problem.group[rows])
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
        _check_nestable(problem, rows[~touched])
    else:
        _check_fittable(problem, train, problem.labels[train], problem.group[train])
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
        tuple(problem.classes[which] for which in order),
        len(fitted),
        len(used),
        code,
        _notes(problem, cleaned, protocol, fitted) + _note_of_touched(touched),
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


def _check_untouched(problem: Problem, rows: NDArray[np.int64], touched: NDArray[np.bool_]) -> None:
    """Refuse to choose and judge by next to nothing."""
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
    rows = _count(int(touched.sum()), "row")
    return (f"{rows} that the backbone was tuned with: fitted, neither chosen nor judged by",)


def check_finite(problem: Problem, rows: NDArray[np.int64]) -> None:
    """Refuse rows with features that are not finite numbers.

    Raises:
        UnfittableError: It names the first one.
    """
    for at in range(0, len(rows), _BLOCK):
        block = rows[at : at + _BLOCK]
        finite = np.isfinite(problem.features[block]).all(axis=1)
        if not finite.all():
            row = int(block[np.argmin(finite)])
            raise UnfittableError(
                "a feature is not a finite number",
                where=f"row {row}, {problem.ids.text(row)!r}",
                got="NaN or infinity",
                hint="embedcache verify",
            )


def _check_fittable(
    problem: Problem,
    rows: NDArray[np.int64],
    labels: NDArray[np.integer],
    group: NDArray[np.int32],
) -> None:
    """Refuse rows on which nothing can be learnt, or nothing be chosen by held-out rows."""
    names = sorted({problem.classes[which] for which in np.unique(problem.labels[rows])})
    if len(names) < 2:
        raise UnfittableError(
            "a classifier needs two classes or more to be fitted on",
            got=f"only {names[0]!r} in {len(rows)} rows" if names else "no training rows",
            expected="at least two classes with two rows each",
            hint="check the labels: embedcache inspect",
        )
    units = row_units(group)
    if len(np.unique(units)) < 2:
        raise UnfittableError(
            "all rows belong to one group, so none can be held out",
            got=f"{len(rows)} rows of {problem.groups.text(int(group[0]))!r}",
            expected="two groups or more",
        )
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


def _check_nestable(problem: Problem, rows: NDArray[np.int64]) -> None:
    """Refuse rows of which no outer fold leaves two units, one to fit and one to choose by."""
    units = int(row_units(problem.group[rows]).max()) + 1
    if units < 3:
        raise UnfittableError(
            "too few groups to choose and to judge",
            got=f"{units} groups in {len(rows)} rows",
            expected="three groups or more",
        )


def _notes(
    problem: Problem, cleaned: Cleaned, protocol: Protocol, fitted: NDArray[np.int32]
) -> tuple[str, ...]:
    notes = []
    if cleaned.crossings:
        notes.append(
            f"{_count(len(cleaned.crossings), 'training row')} left out, as the source has the "
            f"same image on the judged side ({cleaned.crossings[0].train!r} is "
            f"{cleaned.crossings[0].test!r})"
        )
    if cleaned.conflicts:
        notes.append(
            f"{_count(cleaned.conflicting, 'row')} left out, as the same image has different labels"
        )
    judged = cleaned.rows[protocol.side == SIDE_TEST]
    strange = np.setdiff1d(problem.labels[judged], fitted)
    if len(strange):
        names = ", ".join(repr(problem.classes[which]) for which in strange[:5])
        rows = int(np.isin(problem.labels[judged], strange).sum())
        notes.append(f"{_count(rows, 'judged row')} of classes without training rows: {names}")
    train = cleaned.rows[protocol.side != SIDE_TEST]
    sizes = np.bincount(problem.labels[train], minlength=len(problem.classes))
    rare = [which for which in fitted if sizes[which] < FOLDS]
    if rare:
        names = ", ".join(f"{problem.classes[which]!r} ({sizes[which]})" for which in rare[:5])
        more = ", …" if len(rare) > 5 else ""
        notes.append(f"fewer training rows than folds: {names}{more}")
    return tuple(notes)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
