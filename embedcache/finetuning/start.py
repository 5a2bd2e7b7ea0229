"""Where a training starts: validation rows set aside, and a head that has not seen them.

N is the number of rows, V of validation rows, D the embedding dimension, K the number of
classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UnfittableError
from embedcache.evaluation.folds import folds_around
from embedcache.evaluation.units import row_units
from embedcache.heads.forms.linear import Linear
from embedcache.heads.logreg import softmax
from embedcache.heads.models.logreg import softmax_fit
from embedcache.records.manifest import SPLITS

__all__ = ["Start", "set_validation_aside", "starting_head"]

_SHARE = 6
"""One row in six is for validation…"""
_MOST = 2_000
"""…but no more than this: it tells log-losses apart well enough."""
_INTERPOLATES = 0.5
_SOFTEN = 30.0
"""Below this ratio of residuals the head has next to no gradient left; one fitted at C / 30 has."""


@dataclass(frozen=True, eq=False)
class Start:
    """The head that a training starts from.

    Attributes:
        head: Fitted on the training rows without the validation rows.
        c: It was fitted at.
        residual_ratio: Mean residual 1 − p(own class) on the training rows, divided by that on the
            validation rows, of the head at the C that was given.
        softened: Whether `c` is a thirtieth of that C, as the ratio is below a half.
    """

    head: Linear
    c: float
    residual_ratio: float
    softened: bool


def set_validation_aside(
    labels: NDArray[np.integer],
    group: NDArray[np.int32],
    split: NDArray[np.uint8],
    seed: int,
    touched: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Which training rows are for validation, (N,) bool.

    They are the source's own where it names some, else drawn: stratified, groups whole. No
    class is left without training rows.

    Args:
        labels: (N,) 0 to K − 1.
        group: (N,) int32 codes, negative for none.
        split: (N,) uint8 codes into `SPLITS`.
        seed: Of the draw.
        touched: (N,) bool, rows that the backbone was tuned with before: none is for validation,
            as it would speak for the weights that know it. None where there are none.

    Raises:
        UnfittableError: No row can be set aside.
    """
    touched = np.zeros(len(labels), bool) if touched is None else touched
    chosen: NDArray[np.bool_] = (split == SPLITS.index("val")) & ~touched
    if not chosen.any() or chosen.all():
        folds = max(_SHARE, -(-len(labels) // _MOST))
        chosen = folds_around(labels, group, touched, folds, seed) == 0
    units = row_units(group)
    for label in np.unique(labels):
        if chosen[labels == label].all():
            first = int(np.flatnonzero(labels == label)[0])
            chosen[units == units[first]] = False
    if not chosen.any():
        raise UnfittableError(
            "no row can be set aside for validation",
            got=f"{len(labels)} training rows, {int(touched.sum())} of which the backbone has "
            "been tuned with before",
            expected="a class with two rows or groups, one of which it has not seen",
            hint="label more images",
        )
    return chosen


def starting_head(
    features: NDArray[np.floating],
    labels: NDArray[np.integer],
    validation: NDArray[np.bool_],
    c: float,
) -> Start:
    """Fit the head that starts the training.

    Args:
        features: (N, D), as cached.
        labels: (N,) 0 to K − 1, each class at least once outside of the validation rows.
        validation: (N,) bool.
        c: That was chosen for the cached head.
    """
    head = _fit(features[~validation], labels[~validation], c)
    residuals = _residuals(head, features, labels)
    ratio = float(residuals[~validation].mean() / max(residuals[validation].mean(), 1e-12))
    if ratio >= _INTERPOLATES:
        return Start(head, c, ratio, softened=False)
    softer = c / _SOFTEN
    return Start(_fit(features[~validation], labels[~validation], softer), softer, ratio, True)


def _fit(features: NDArray[np.floating], labels: NDArray[np.integer], c: float) -> Linear:
    form = softmax_fit(features, labels, c).form
    assert isinstance(form, Linear)
    return form


def _residuals(
    head: Linear, features: NDArray[np.floating], labels: NDArray[np.integer]
) -> NDArray[np.float64]:
    """1 − p(own class), (N,)."""
    logits = features.astype(np.float64) @ head.weights.T + head.intercept
    residuals: NDArray[np.float64] = 1 - softmax(logits)[np.arange(len(labels)), labels]
    return residuals
