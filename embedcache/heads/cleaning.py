"""Which rows may be fitted and judged: labelled, once each, and without contradiction.

N is the number of rows, M the number of rows that are left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UnfittableError, UsageError
from embedcache.evaluation.splits import given_test
from embedcache.heads.problem import Problem

__all__ = ["Cleaned", "Conflict", "Crossing", "clean", "equal_digests"]

_ON_CONFLICT = ("error", "drop")


@dataclass(frozen=True)
class Conflict:
    """Rows of the same image bytes under different labels.

    Attributes:
        ids: Their names.
        labels: Their labels, in the same order.
    """

    ids: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Crossing:
    """The same image on both sides of the source's own split.

    Attributes:
        train: The copy that left the training side.
        test: The copy that stayed.
    """

    train: str
    test: str


@dataclass(frozen=True, eq=False)
class Cleaned:
    """What is left to fit and judge, and what is not.

    Attributes:
        rows: (M,) int64, ascending.
        unlabelled: Number of rows without a label.
        duplicates: Number of rows left out because an equal image with an equal
            label is in.
        conflicts: Images left out because their labels contradict each other.
        crossings: Duplicates across the source's own split.
    """

    rows: NDArray[np.int64]
    unlabelled: int
    duplicates: int
    conflicts: tuple[Conflict, ...]
    crossings: tuple[Crossing, ...]

    @property
    def conflicting(self) -> int:
        """Number of rows in conflicts."""
        return sum(len(conflict.ids) for conflict in self.conflicts)


def equal_digests(digests: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Number every row by its digest, (N,) int64: equal numbers for equal bytes.

    Args:
        digests: (N, 32) uint8.
    """
    words = np.ascontiguousarray(digests).view(np.uint64)
    order = np.lexsort(words.T)
    differs = np.any(words[order[1:]] != words[order[:-1]], axis=1)
    number = np.empty(len(digests), np.int64)
    number[order] = np.cumsum(np.r_[False, differs]) if len(order) else 0
    return number


def clean(problem: Problem, *, on_conflict: str = "error") -> Cleaned:
    """Choose the rows that take part.

    Of equal images with equal labels one row stays: the one that the source sets
    aside for judging, else the first.

    Args:
        problem: What to fit.
        on_conflict: `error`, or `drop` to leave contradicting rows out and list them.

    Raises:
        UnfittableError: Labels contradict each other and `on_conflict` is `error`.
        UsageError: `on_conflict` is neither of the two.
    """
    if on_conflict not in _ON_CONFLICT:
        raise UsageError("unknown on_conflict", got=on_conflict, expected=", ".join(_ON_CONFLICT))
    labelled = np.flatnonzero(problem.labelled)
    image = equal_digests(problem.digests)[labelled]
    label = problem.labels[labelled]
    own = given_test(problem.split)
    train = np.ones(len(labelled), bool) if own is None else ~own[labelled]
    # One run of rows per image; within it the rows set aside for judging come first.
    order = np.lexsort((labelled, train, image))
    first = np.r_[True, image[order[1:]] != image[order[:-1]]] if len(order) else np.zeros(0, bool)
    run = np.cumsum(first) - 1
    leader = order[np.flatnonzero(first)][run]
    contradicts = np.zeros(len(np.flatnonzero(first)), bool)
    differs = label[order] != label[leader]
    contradicts[run[differs.any(axis=1) if problem.is_multilabel else differs]] = True
    conflicts = _conflicts(problem, labelled[order], run, contradicts)
    if conflicts and on_conflict == "error":
        raise _contradiction(conflicts)
    crossed = ~contradicts[run] & train[order] & ~train[leader]
    return Cleaned(
        np.sort(labelled[order[first & ~contradicts[run]]]),
        len(problem) - len(labelled),
        int(np.sum(~first & ~contradicts[run])),
        conflicts,
        tuple(
            Crossing(problem.ids.text(a), problem.ids.text(b))
            for a, b in zip(labelled[order[crossed]], labelled[leader[crossed]], strict=True)
        ),
    )


def _conflicts(
    problem: Problem,
    rows: NDArray[np.int64],
    run: NDArray[np.int64],
    contradicts: NDArray[np.bool_],
) -> tuple[Conflict, ...]:
    numbers = np.flatnonzero(contradicts)
    spans = np.searchsorted(run, [numbers, numbers + 1]).T
    found = sorted(np.sort(rows[start:end]).tolist() for start, end in spans)
    return tuple(
        Conflict(
            tuple(problem.ids.text(row) for row in members),
            tuple(problem.named(row) for row in members),
        )
        for members in found
    )


def _contradiction(conflicts: tuple[Conflict, ...]) -> UnfittableError:
    shown = "; ".join(
        ", ".join(f"{name!r} as {label!r}" for name, label in zip(c.ids, c.labels, strict=True))
        for c in conflicts[:3]
    )
    images = "1 image has" if len(conflicts) == 1 else f"{len(conflicts)} images have"
    return UnfittableError(
        f"{images} the same bytes under different labels",
        got=shown + ("; …" if len(conflicts) > 3 else ""),
        expected="one label for each image",
        hint="correct the labels, or leave those images out with --on-conflict drop",
    )
