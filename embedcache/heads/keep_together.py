"""`keep_together`: near duplicates become one group, which no split tears apart.

N is the number of rows.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UsageError
from embedcache.evaluation.splits import given_test
from embedcache.evaluation.units import row_units
from embedcache.heads.near_duplicates import Pairs
from embedcache.heads.problem import Problem
from embedcache.records.strings import Strings

__all__ = ["keep_together"]


def keep_together(problem: Problem, pairs: Pairs) -> Problem:
    """The problem with every near duplicate in the group of the other.

    Groups that share a near duplicate become one. A new group is named after the
    smallest digest in it, so that its side depends on no path.

    Args:
        problem: What to fit.
        pairs: Of its rows.

    Raises:
        UsageError: The source itself sets rows aside for judging.
    """
    if given_test(problem.split) is not None:
        raise UsageError(
            "the source's own split decides the sides",
            got="a request to keep near duplicates on one side",
            hint="the report lists those that are on both sides: move them in the source",
        )
    if not len(pairs):
        return problem
    root = _components(row_units(problem.group), pairs)
    touched = np.isin(root, root[pairs.first])
    names = list(problem.groups)
    group = problem.group.copy()
    for component in np.unique(root[touched]):
        rows = np.flatnonzero(root == component)
        known = problem.group[rows]
        if (known >= 0).any():
            group[rows] = known[known >= 0].min()
        else:
            smallest = min(problem.digests[row].tobytes() for row in rows)
            group[rows] = len(names)
            names.append(b"near duplicates of " + smallest.hex().encode())
    return replace(problem, group=group, groups=Strings.of(names))


def _components(units: NDArray[np.int64], pairs: Pairs) -> NDArray[np.int64]:
    """The component of every row, (N,): units that pairs connect."""
    parent = np.arange(int(units.max(initial=-1)) + 1)

    def find(unit: int) -> int:
        while parent[unit] != unit:
            parent[unit] = parent[parent[unit]]
            unit = int(parent[unit])
        return unit

    for first, second in zip(units[pairs.first], units[pairs.second], strict=True):
        parent[find(int(first))] = find(int(second))
    roots = np.array([find(unit) for unit in range(len(parent))], np.int64)
    of_rows: NDArray[np.int64] = roots[units]
    return of_rows
