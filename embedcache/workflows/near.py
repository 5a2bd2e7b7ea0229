"""Near duplicates among the rows of a problem: found by features, confirmed on the pictures."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np

from embedcache.evaluation.splits import SIDE_UNUSED
from embedcache.heads.features import Features
from embedcache.heads.fitted import Fitted
from embedcache.heads.keep_together import keep_together
from embedcache.heads.near_duplicates import Picture, near_duplicates
from embedcache.heads.problem import Problem
from embedcache.heads.reporting import LISTED
from embedcache.heads.row_records import NearDuplicates, NearPair
from embedcache.inputs.pictures import read_picture

__all__ = ["on_one_side", "pictures_of", "report_near_duplicates"]


def pictures_of(problem: Problem, root: str) -> Picture:
    """The picture of each row under `root`, while its file is what was embedded."""
    folder = os.fsencode(root)
    return lambda row: read_picture(
        os.path.join(folder, problem.ids[row]), problem.digests[row].tobytes()
    )


def on_one_side(problem: Problem, root: str) -> Problem:
    """The problem with near duplicates in one group; its pictures lie under `root`.

    Raises:
        UsageError: The source's own split decides the sides.
    """
    labelled = np.flatnonzero(problem.labelled)
    pairs = near_duplicates(Features(problem.features, labelled), None, pictures_of(problem, root))
    return keep_together(problem, pairs)


def report_near_duplicates(
    problem: Problem, root: str, fitted: Fitted, *, together: bool
) -> Fitted:
    """The fit with near duplicates across sides in its report.

    Args:
        problem: Which it was fitted to.
        root: Where its pictures lie.
        fitted: Head, rows and report.
        together: Whether near duplicates were kept on one side.
    """
    side = fitted.rows.side
    used = np.flatnonzero(side != SIDE_UNUSED)
    pairs = near_duplicates(
        Features(problem.features, used), side[used], pictures_of(problem, root)
    )
    listed = tuple(
        NearPair(
            problem.ids.text(int(first)),
            problem.ids.text(int(second)),
            float(cosine),
            float(difference) if np.isfinite(difference) else None,
        )
        for first, second, cosine, difference in zip(
            pairs.first[:LISTED],
            pairs.second[:LISTED],
            pairs.cosine[:LISTED],
            pairs.difference[:LISTED],
            strict=True,
        )
    )
    found = NearDuplicates(len(pairs), pairs.unlike, pairs.is_complete, together, listed)
    return replace(fitted, report=replace(fitted.report, near_duplicates=found))
