"""Labels as arrays: one class for each row, or any number of them.

N is the number of rows, K the number of classes. One class for each row is an
(N,) int32 array of codes, -1 for unlabelled. Several are an (N, K) uint8 array
of 0 and 1; an unlabelled row is `UNLABELLED` throughout, and a row of zeros
says that none of the classes is there.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "UNLABELLED",
    "Labels",
    "check_labels",
    "is_multilabel",
    "labelled",
    "members",
    "one_hot",
]

UNLABELLED = 255
"""Every entry of an unlabelled row of a multilabel array."""

Labels: TypeAlias = NDArray[np.int32] | NDArray[np.uint8]
"""(N,) int32 codes, or (N, K) uint8 indicators."""


def is_multilabel(labels: Labels) -> bool:
    """Whether a row may have several classes."""
    return labels.ndim == 2


def labelled(labels: Labels) -> NDArray[np.bool_]:
    """Which rows have a label, (N,) bool; "none of the classes" is one, too."""
    if not is_multilabel(labels):
        return np.asarray(labels >= 0)
    # The largest of no classes is UNLABELLED: without classes, no row has a label.
    highest = labels.max(axis=1, initial=0 if labels.shape[1] else UNLABELLED)
    return np.asarray(highest < UNLABELLED)


def members(labels: Labels, code: int) -> NDArray[np.bool_]:
    """Which rows are of the class `code`, (N,) bool."""
    return np.equal(labels[:, code], 1) if is_multilabel(labels) else np.equal(labels, code)


def one_hot(codes: NDArray[np.int32], classes: int) -> NDArray[np.uint8]:
    """Codes, (N,) int32, as (N, K) indicators; `classes` is K."""
    indicators = np.equal(codes[:, None], np.arange(classes)).astype(np.uint8)
    indicators[codes < 0] = UNLABELLED
    return indicators


def check_labels(labels: Labels, classes: int) -> None:
    """Refuse labels that name classes which are not there; `classes` is K.

    Raises:
        ValueError: A code past the classes, another number of columns than classes, or a
            row that is neither of 0 and 1 nor `UNLABELLED` throughout.
    """
    if not is_multilabel(labels):
        if len(labels) and not -1 <= labels.min() <= labels.max() < classes:
            raise ValueError(f"a code lies outside -1..{classes - 1}")
        return
    if labels.shape[1] != classes:
        raise ValueError(f"{labels.shape[1]} columns for {classes} classes")
    # By rows' extremes: no temporary array is as large as the table.
    highest, lowest = labels.max(axis=1, initial=0), labels.min(axis=1, initial=UNLABELLED)
    if not ((highest <= 1) | (lowest == UNLABELLED)).all():
        raise ValueError(f"a row is neither of 0 and 1 nor {UNLABELLED} throughout")
