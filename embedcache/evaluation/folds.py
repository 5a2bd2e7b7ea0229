"""Folds for cross-validation: stratified by class, groups kept together.

scikit-learn's splitters warn or refuse when a class has fewer rows than there
are folds; here such a class is in as many folds as it has rows. N is the number
of rows, K the number of classes, F the number of folds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.units import row_units

__all__ = ["NEVER", "folds_around", "stratified_folds"]

NEVER = -1
"""The fold of a row that is never held out: every fit may have it, no score is of it."""


def stratified_folds(
    labels: NDArray[np.integer], group: NDArray[np.int32], folds: int, seed: int
) -> NDArray[np.int64]:
    """The fold of every row, (N,) int64 in 0 to F − 1.

    F is `folds`, or the number of groups and single rows where that is less.
    Groups of several rows are placed first, the largest first, each where its
    classes are scarcest; then the single rows of each class fill up the folds
    that have the fewest of it.

    Args:
        labels: (N,) classes in 0 to K − 1.
        group: (N,) int32 codes, negative for a row on its own.
        folds: F, 2 or more.
        seed: Which of the equally good assignments.
    """
    units = row_units(group)
    sizes = np.bincount(units)
    folds = min(folds, len(sizes))
    rng = np.random.default_rng(seed)
    # float64, as the costs below divide by squares.
    filled = np.zeros((folds, int(labels.max(initial=0)) + 1))
    fold = np.empty(len(labels), np.int64)
    _place_groups(labels, units, sizes, filled, fold, rng)
    _deal_singles(labels, sizes[units] == 1, filled, fold, rng)
    return fold


def folds_around(
    labels: NDArray[np.integer],
    group: NDArray[np.int32],
    touched: NDArray[np.bool_],
    folds: int,
    seed: int,
) -> NDArray[np.int64]:
    """The folds of the rows that may be held out, (N,) int64; `NEVER` for the others.

    Args:
        labels: As for `stratified_folds`, like group, folds and seed.
        group: (N,) int32.
        touched: (N,) bool, rows that no score may be of.
        folds: F.
        seed: Which of the equally good assignments.
    """
    found = np.full(len(labels), NEVER, np.int64)
    found[~touched] = stratified_folds(labels[~touched], group[~touched], folds, seed)
    return found


def _place_groups(
    labels: NDArray[np.integer],
    units: NDArray[np.int64],
    sizes: NDArray[np.int64],
    filled: NDArray[np.float64],
    fold: NDArray[np.int64],
    rng: np.random.Generator,
) -> None:
    by_unit = np.argsort(units, kind="stable")
    starts = np.cumsum(sizes) - sizes
    totals = np.bincount(labels, minlength=filled.shape[1])
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    for unit in order[sizes[order] > 1]:
        rows = by_unit[starts[unit] : starts[unit] + sizes[unit]]
        classes, counts = np.unique(labels[rows], return_counts=True)
        # Growth of the sum of squared shares, per class and over all rows: least where
        # the group's classes, and rows as such, are scarcest.
        cost = filled[:, classes] @ (counts / totals[classes] ** 2)
        cost += filled.sum(axis=1) * len(rows) / len(labels) ** 2
        place = int(np.argmin(cost))
        fold[rows] = place
        filled[place, classes] += counts


def _deal_singles(
    labels: NDArray[np.integer],
    single: NDArray[np.bool_],
    filled: NDArray[np.float64],
    fold: NDArray[np.int64],
    rng: np.random.Generator,
) -> None:
    rows = rng.permutation(np.flatnonzero(single))
    rows = rows[np.argsort(labels[rows], kind="stable")]
    classes, starts, counts = np.unique(labels[rows], return_index=True, return_counts=True)
    for which, start, count in zip(classes, starts, counts, strict=True):
        members = rows[start : start + count]
        # Slot (i, j) is the i-th further row of fold j; the lowest levels are taken first.
        levels = filled[:, which] + np.arange(len(members))[:, None]
        emptier = np.broadcast_to(filled.sum(axis=1), levels.shape)
        slots = np.lexsort((emptier.ravel(), levels.ravel()))[: len(members)]
        place = slots % len(filled)
        fold[members] = place
        filled[:, which] += np.bincount(place, minlength=len(filled))
