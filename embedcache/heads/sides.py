"""`Sides`: which rows take part in a fit and which of them judge it, whatever their labels are.

N is the number of rows of the problem, M of those that take part, D the
embedding dimension.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UnfittableError
from embedcache.evaluation.splits import SIDE_TEST, SIDE_UNUSED, Protocol
from embedcache.evaluation.units import row_units
from embedcache.heads.cleaning import Cleaned, clean
from embedcache.heads.features import Features
from embedcache.heads.problem import Problem

__all__ = [
    "Sides",
    "check_finite",
    "check_nestable",
    "check_units",
    "cleaned_rows",
    "counted",
    "left_out_notes",
]

_BLOCK = 4096  # rows looked at together


@dataclass(frozen=True, eq=False)
class Sides:
    """A problem whose rows and sides are settled.

    Attributes:
        problem: As it was given.
        cleaned: Which rows take part, and why others don't.
        protocol: Sides of the M rows.
        notes: What a person should know before anything is fitted.
    """

    problem: Problem
    cleaned: Cleaned
    protocol: Protocol
    notes: tuple[str, ...]

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
        """Which of the M rows are judged: in a cross-validation all that a fold holds out."""
        if self.protocol.is_cross_validation:
            return np.flatnonzero(self.protocol.folds >= 0)
        return np.flatnonzero(self.protocol.side == SIDE_TEST)

    @property
    def row_sides(self) -> NDArray[np.uint8]:
        """(N,) codes `SIDE_…` of all rows of the problem."""
        side = np.full(len(self.problem), SIDE_UNUSED, np.uint8)
        side[self.cleaned.rows] = self.protocol.side
        return side

    def features(self, chosen: NDArray[np.int64]) -> Features:
        """The features of some of the M rows, not read yet."""
        return Features(self.problem.features, self.cleaned.rows[chosen], self.problem.device)


def cleaned_rows(problem: Problem, *, on_conflict: str) -> Cleaned:
    """The rows that may take part, one or more.

    Args:
        problem: What to fit.
        on_conflict: `error` or `drop`: see `cleaning.clean`.

    Raises:
        UnfittableError: There are none, or labels contradict each other.
    """
    problem.check()
    cleaned = clean(problem, on_conflict=on_conflict)
    if not len(cleaned.rows):
        raise UnfittableError(
            "no row has a usable label",
            got=f"{len(problem)} rows, {cleaned.unlabelled} unlabelled, "
            f"{cleaned.conflicting} in conflict",
            expected="two classes with two rows each, or more",
            hint="label the data and run extract again: labels alone embed nothing",
        )
    return cleaned


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


def check_units(problem: Problem, rows: NDArray[np.int64]) -> None:
    """Refuse rows that all belong to one group.

    Raises:
        UnfittableError: None of them could be held out.
    """
    group = problem.group[rows]
    if len(np.unique(row_units(group))) < 2:
        raise UnfittableError(
            "all rows belong to one group, so none can be held out",
            got=f"{len(rows)} rows of {problem.groups.text(int(group[0]))!r}",
            expected="two groups or more",
        )


def check_nestable(problem: Problem, rows: NDArray[np.int64]) -> None:
    """Refuse rows of which no outer fold leaves two units, one to fit and one to choose by.

    Raises:
        UnfittableError: There are fewer than three units.
    """
    units = int(row_units(problem.group[rows]).max()) + 1
    if units < 3:
        raise UnfittableError(
            "too few groups to choose and to judge",
            got=f"{units} groups in {len(rows)} rows",
            expected="three groups or more",
        )


def left_out_notes(cleaned: Cleaned) -> list[str]:
    """What a person should know of rows that do not take part."""
    notes = []
    if cleaned.crossings:
        notes.append(
            f"{counted(len(cleaned.crossings), 'training row')} left out, as the source has the "
            f"same image on the judged side ({cleaned.crossings[0].train!r} is "
            f"{cleaned.crossings[0].test!r})"
        )
    if cleaned.conflicts:
        notes.append(
            f"{counted(cleaned.conflicting, 'row')} left out, as the same image has different "
            "labels"
        )
    return notes


def counted(number: int, noun: str) -> str:
    """A number of things, in words."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
