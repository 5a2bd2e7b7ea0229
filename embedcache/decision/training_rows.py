"""`TrainingRows`: the rows that a decision may read, and nothing of the others.

N is the number of training rows, D the embedding dimension, K the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UnfittableError
from embedcache.evaluation.folds import stratified_folds
from embedcache.evaluation.splits import FOLDS, SIDE_TEST, given_test
from embedcache.heads.cleaning import equal_digests
from embedcache.heads.features import Features
from embedcache.heads.model import Training
from embedcache.heads.prepare import prepare
from embedcache.heads.problem import Problem

__all__ = ["TrainingRows", "training_rows"]


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """Labelled rows of the training side, in folds.

    Attributes:
        row: (N,) int64, rows of the cache.
        training: Their features (N, D) and labels (N,).
        group: (N,) int32 codes, negative for none.
        folds: (N,) int64: those of `fit-head` with the same seed.
        classes: K names.
        reason: How the sides were settled, in words.
        aside: Number of rows that are set aside for judging, and not read.
        conflicting: Number of training rows left out because the same image has several labels.
        copies: Number of training rows whose very image is also among those set aside.
        touched: Number of rows left out because the backbone was tuned with them.
    """

    row: NDArray[np.int64]
    training: Training
    group: NDArray[np.int32]
    folds: NDArray[np.int64]
    classes: tuple[str, ...]
    reason: str
    aside: int
    conflicting: int
    copies: int
    touched: int = 0

    def __len__(self) -> int:
        return len(self.row)

    @property
    def labels(self) -> NDArray[np.integer]:
        """(N,) in 0 to K − 1."""
        return self.training.labels

    @property
    def features(self) -> Features:
        """Of the N rows."""
        return self.training.features

    def take(self, which: NDArray[np.int64], features: Features) -> TrainingRows:
        """Some of the rows, of every class at least one, with other features in their place."""
        labels = self.labels[which]
        return replace(
            self,
            row=self.row[which],
            training=Training(features, labels, self.training.seed),
            group=self.group[which],
            folds=self.folds[which],
        )

    def sample(self, most: int) -> TrainingRows:
        """At most so many rows, or a few more: stratified, groups whole, classes renumbered."""
        parts = -(-len(self) // most)
        if parts < 2:
            return self
        which = np.flatnonzero(
            stratified_folds(self.labels, self.group, parts, self.training.seed) == 0
        )
        kept, codes = np.unique(self.labels[which], return_inverse=True)
        seed = self.training.seed
        return replace(
            self,
            row=self.row[which],
            training=Training(self.features.take(which), codes, seed),
            group=self.group[which],
            folds=stratified_folds(codes, self.group[which], FOLDS, seed),
            classes=tuple(self.classes[code] for code in kept),
        )


def training_rows(problem: Problem, *, seed: int) -> TrainingRows:
    """The training side of a problem, as `fit-head` settles it, without touched rows.

    The features of the rows set aside are never read. To settle the sides by a hash,
    the rows of each class are counted, those set aside included. Rows that the backbone has
    seen are left out: out of fold it would answer them as if it knew them, which it does.

    Args:
        problem: A cache's rows.
        seed: Of the folds.

    Raises:
        UnfittableError: No head can be fitted to this.
    """
    if problem.labels.ndim != 1:
        raise UnfittableError(
            "a decision needs one class for each row",
            got="several labels a row",
            expected="a cache whose rows have one class each",
            hint="embedcache fit-head",
        )
    prepared = prepare(problem, on_conflict="drop", seed=seed, reads_test=False)
    train, protocol = prepared.train[~prepared.touched[prepared.train]], prepared.protocol
    kept, labels = np.unique(prepared.labels[train], return_inverse=True)
    group = prepared.group[train]
    if protocol.is_cross_validation:
        folds = protocol.folds[train]
    else:
        folds = stratified_folds(labels, group, FOLDS, seed)
    aside = int((protocol.side == SIDE_TEST).sum())
    conflicting, copies = _contradictions_and_copies(problem)
    return TrainingRows(
        prepared.cleaned.rows[train],
        Training(prepared.features(train), labels, seed),
        group,
        folds,
        tuple(prepared.classes[which] for which in kept),
        protocol.reason,
        aside,
        conflicting,
        copies,
        int(prepared.touched.sum()),
    )


def _contradictions_and_copies(problem: Problem) -> tuple[int, int]:
    """Rows of images with several labels, and rows whose image the source also sets aside.

    Neither depends on a label that is set aside.
    """
    image = equal_digests(problem.digests)
    own = given_test(problem.split)
    mine = problem.labels >= 0 if own is None else (problem.labels >= 0) & ~own
    pairs = np.unique(np.stack([image[mine], problem.labels[mine]], axis=1), axis=0)
    labels_of = np.bincount(pairs[:, 0], minlength=len(image))
    copies = 0 if own is None else int(np.isin(image[mine], image[own]).sum())
    return int((labels_of[image[mine]] > 1).sum()), copies
