"""Which rows a head is fitted on and which ones it is judged by.

N is the number of rows, K the number of classes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.folds import NEVER, folds_around, stratified_folds
from embedcache.evaluation.units import row_units
from embedcache.records.manifest import SPLITS
from embedcache.records.strings import Strings

__all__ = [
    "FOLDS",
    "SIDE_FOLD",
    "SIDE_TEST",
    "SIDE_TRAIN",
    "SIDE_UNUSED",
    "Protocol",
    "choose_protocol",
    "given_test",
    "hash_test",
    "strata",
]

FOLDS = 5
TEST_SHARE = 0.2
MIN_TEST_ROWS = 400
"""Fewer expected test rows say too little: ±3.5 points at an accuracy of 85 %."""
MIN_CLASS_ROWS = 10
"""A class of ten rows is missed by one hash split in nine (0.8¹⁰), a smaller one by more."""
SALT = b"embedcache-split-1"
"""Changing it re-splits every data set: never change it."""

SIDE_UNUSED = 0
"""The row took no part: unlabelled, a duplicate, or in conflict."""
SIDE_TRAIN = 1
SIDE_TEST = 2
SIDE_FOLD = 16
"""Code 16 + f: the row was judged by a head that had not seen fold f. It also takes
part in the shipped head, which is fitted on all folds."""


@dataclass(frozen=True, eq=False)
class Protocol:
    """How a head is judged.

    Attributes:
        kind: `hold-out`, or `cross-validation` (nested).
        source: Who decided the sides: `given`, `hash` or `folds`.
        reason: Why, in words.
        side: (N,) uint8 codes `SIDE_…`.
    """

    kind: str
    source: str
    reason: str
    side: NDArray[np.uint8]

    @property
    def is_cross_validation(self) -> bool:
        """Whether every row that may be is judged, by a head that has not seen it."""
        return self.kind == "cross-validation"

    @property
    def folds(self) -> NDArray[np.int64]:
        """(N,) int64 fold numbers of a cross-validation; `NEVER` for rows that are in none."""
        return np.where(self.side >= SIDE_FOLD, self.side.astype(np.int64) - SIDE_FOLD, NEVER)


def given_test(split: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
    """The rows that the source itself sets aside for judging, (N,) bool.

    They are its test rows, or its validation rows where it has no test rows;
    None where it has neither.
    """
    for name in ("test", "val"):
        chosen: NDArray[np.bool_] = split == SPLITS.index(name)
        if chosen.any():
            return chosen
    return None


def hash_test(
    digests: NDArray[np.uint8], group: NDArray[np.int32], groups: Strings
) -> NDArray[np.bool_]:
    """The rows whose salted hash puts them into the test fifth, (N,) bool.

    The hash is of the group's name, else of the image's digest, so a row's side
    depends on nothing else: not on its path, not on the rows around it.

    Args:
        digests: (N, 32) uint8.
        group: (N,) int32 codes into `groups`, negative for none.
        groups: Names of the groups.
    """
    names = np.array([_is_test(b"group\0" + name) for name in groups], bool)
    test = np.empty(len(group), bool)
    grouped = group >= 0
    test[grouped] = names[group[grouped]]
    for row in np.flatnonzero(~grouped):
        test[row] = _is_test(b"digest\0" + digests[row].tobytes())
    return test


def _is_test(key: bytes) -> bool:
    value = int.from_bytes(hashlib.sha256(SALT + b"\0" + key).digest()[:8], "big")
    return value < TEST_SHARE * 2**64


def choose_protocol(
    labels: NDArray[np.integer],
    split: NDArray[np.uint8],
    group: NDArray[np.int32],
    groups: Strings,
    digests: NDArray[np.uint8],
    *,
    seed: int,
    touched: NDArray[np.bool_] | None = None,
) -> Protocol:
    """The source's own split, else a split by hash, else cross-validation where rows are few.

    All rows are labelled and no image occurs twice. Rows that are touched are fitted at most:
    where too few of the training rows are not, the others are dealt into folds, whichever
    side they were on.

    Args:
        labels: (N,) classes in 0 to K − 1; or (N, K) uint8, 1 where the row has the label,
            each label on some rows and not on all.
        split: (N,) uint8 codes into `SPLITS`.
        group: (N,) int32 codes into `groups`, negative for none.
        groups: Names of the groups.
        digests: (N, 32) uint8.
        seed: Of the folds; the split by hash has none.
        touched: (N,) bool, which rows no choice and no score may be of; None for none of them.
    """
    protocol = _protocol(labels, split, group, groups, digests, seed)
    if touched is None or not touched.any():
        return protocol
    return _around(protocol, labels, group, touched, seed)


def _around(
    protocol: Protocol,
    labels: NDArray[np.integer],
    group: NDArray[np.int32],
    touched: NDArray[np.bool_],
    seed: int,
) -> Protocol:
    """The same, but that no touched row is judged or chosen by."""
    side = np.where(touched, SIDE_TRAIN, protocol.side).astype(np.uint8)
    if not protocol.is_cross_validation and (side == SIDE_TEST).any():
        fitted = _sizes(labels, side == SIDE_TRAIN) > 0
        to_choose_by = _sizes(labels, (side == SIDE_TRAIN) & ~touched)
        if (to_choose_by[fitted] >= MIN_CLASS_ROWS).all():
            return Protocol(protocol.kind, protocol.source, protocol.reason, side)
    folds = folds_around(strata(labels), group, touched, FOLDS, seed)
    side = np.where(touched, SIDE_TRAIN, SIDE_FOLD + folds).astype(np.uint8)
    units = len(np.unique(row_units(group)[~touched]))
    reason = (
        f"{min(FOLDS, units)}-fold cross-validation over the {(~touched).sum():,} rows that the "
        "backbone has not seen"
    )
    return Protocol("cross-validation", "folds", reason, side)


def _protocol(
    labels: NDArray[np.integer],
    split: NDArray[np.uint8],
    group: NDArray[np.int32],
    groups: Strings,
    digests: NDArray[np.uint8],
    seed: int,
) -> Protocol:
    own = given_test(split)
    if own is not None:
        name = "test" if (split == SPLITS.index("test")).any() else "validation"
        reason = f"the source sets {own.sum():,} {name} rows aside"
        return Protocol("hold-out", "given", reason, _sides(own))
    test = hash_test(digests, group, groups)
    against = _against_hash(labels, test)
    if against is None:
        by = "their group" if (group >= 0).any() else "their bytes"
        reason = f"{test.sum():,} of {len(test):,} rows set aside by a hash of {by}"
        return Protocol("hold-out", "hash", reason, _sides(test))
    folds = stratified_folds(strata(labels), group, FOLDS, seed)
    units = int(row_units(group).max(initial=-1)) + 1
    reason = f"{min(FOLDS, units)}-fold cross-validation, as {against}"
    side = (SIDE_FOLD + folds).astype(np.uint8)
    return Protocol("cross-validation", "folds", reason, side)


def _sides(test: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.where(test, SIDE_TEST, SIDE_TRAIN).astype(np.uint8)


def _against_hash(labels: NDArray[np.integer], test: NDArray[np.bool_]) -> str | None:
    """What speaks against a split by hash, None for nothing."""
    expected = TEST_SHARE * len(labels)
    if expected < MIN_TEST_ROWS:
        return (
            f"a fifth of {len(labels):,} rows would be {expected:.0f} test rows, "
            f"fewer than {MIN_TEST_ROWS}"
        )
    rows, test_rows = _sizes(labels), _sizes(labels, test)
    if (rows < MIN_CLASS_ROWS).any():
        what = "a class has only" if labels.ndim == 1 else "a label is on, or missing from, only"
        return f"{what} {rows.min()} rows, fewer than {MIN_CLASS_ROWS}"
    if (test_rows == 0).any() or (test_rows == rows).any():
        return "a split by hash would leave one side without a class"
    if test.sum() < expected / 2 or test.sum() > 2 * expected:
        return f"the groups are too large for a hash to set a fifth aside ({test.sum():,} rows)"
    return None


def _sizes(
    labels: NDArray[np.integer], chosen: NDArray[np.bool_] | slice = slice(None)
) -> NDArray[np.int64]:
    """Chosen rows of each class: with several labels a row, those with and without each label."""
    if labels.ndim == 1:
        return np.bincount(labels[chosen], minlength=int(labels.max()) + 1)
    having = labels[chosen].sum(axis=0, dtype=np.int64)
    return np.concatenate([having, len(labels[chosen]) - having])


def strata(labels: NDArray[np.integer]) -> NDArray[np.integer]:
    """What folds are stratified by, (N,) codes: the class of a row, or its rarest label.

    A row counts for its rarest label, and K is that of a row without any: so each label that is
    rare, which chance alone would leave out of a fold, is dealt to all of them. Source: the
    order of Sechidis, Tsoumakas & Vlahavas (2011), *On the stratification of multi-label
    data*, which deals the rarest label first.

    Args:
        labels: (N,) classes; or (N, K) uint8, 1 where the row has the label.
    """
    if labels.ndim == 1:
        return labels
    order = np.argsort(labels.sum(axis=0, dtype=np.int64), kind="stable")
    first = labels[:, order].argmax(axis=1)
    rarest: NDArray[np.int64] = np.where(labels.any(axis=1), order[first], labels.shape[1])
    return rarest
