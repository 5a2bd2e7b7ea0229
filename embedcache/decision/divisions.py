"""`divisions`: the training rows dealt into parts for a pilot, and the frozen answers to them.

Whatever belongs together stays in one part: rows of a group, and pictures that are nearly the
same. N is the number of rows, U of what belongs together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from embedcache.decision.measure import Measured
from embedcache.decision.out_of_fold import out_of_fold
from embedcache.decision.pilot_result import Division
from embedcache.decision.training_rows import TrainingRows
from embedcache.evaluation.folds import NEVER, stratified_folds
from embedcache.evaluation.units import row_units
from embedcache.heads.models.index import MODELS
from embedcache.heads.near_duplicates import Picture, near_duplicates

__all__ = ["divisions"]


def divisions(
    rows: TrainingRows, measured: Measured, picture: Picture
) -> Callable[[int], Division]:
    """A function of the number of trainings: 1 validates the first fold, others all rows.

    A class is never without training rows: of one that a part has all rows of, one row or group
    is in every training, and not validated.

    Args:
        rows: The N rows.
        measured: What the frozen head answers in the folds of `rows`.
        picture: Of a row of the cache.
    """
    signals = measured.signals

    @cache
    def together() -> NDArray[np.int32]:
        return _together(rows, picture)

    def divide(trainings: int) -> Division:
        if trainings == 1:
            first = np.where(rows.folds == 0, 0, NEVER)
            return Division(_without_last_of_class(rows.labels, first, rows.group), measured.hits)
        group = together()
        part = stratified_folds(rows.labels, group, trainings, rows.training.seed)
        hits = measured.hits
        if not np.array_equal(part, rows.folds):
            model, setting = MODELS[signals.model], signals.setting
            found = out_of_fold(replace(rows, folds=part), model, setting)
            hits = found.argmax(axis=1) == rows.labels
        return Division(_without_last_of_class(rows.labels, part, group), hits)

    return divide


def _together(rows: TrainingRows, picture: Picture) -> NDArray[np.int32]:
    """Codes in 0 to U − 1, (N,): groups, joined where pictures of both are nearly the same."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    units = row_units(rows.group)
    pairs = near_duplicates(rows.features, None, picture)
    at = {row: place for place, row in enumerate(rows.features.rows.tolist())}
    sure = np.isfinite(pairs.difference)
    first, second = (
        units[[at[row] for row in side[sure].tolist()]] for side in (pairs.first, pairs.second)
    )
    count = int(units.max()) + 1
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
    joined: NDArray[np.int32] = connected_components(graph, directed=False)[1][units]
    return joined


def _without_last_of_class(
    labels: NDArray[np.integer], part: NDArray[np.int64], group: NDArray[np.int32]
) -> NDArray[np.int64]:
    units, found = row_units(group), part.copy()
    for label in np.unique(labels):
        mine = found[labels == label]
        if mine[0] != NEVER and (mine == mine[0]).all():
            first = int(np.flatnonzero(labels == label)[0])
            found[units == units[first]] = NEVER
    return found
