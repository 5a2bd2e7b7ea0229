"""`compare_features`: the same images, by the same kind of head, on another cache's features."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from embedcache.decision.contest import sample_size
from embedcache.decision.measure import Asked
from embedcache.decision.out_of_fold import out_of_fold
from embedcache.decision.signals import HeadScore, OtherFeatures
from embedcache.decision.training_rows import TrainingRows
from embedcache.errors import UsageError
from embedcache.evaluation.intervals import LEVEL
from embedcache.evaluation.paired import score_interval
from embedcache.evaluation.units import paired_difference
from embedcache.heads.features import Features
from embedcache.heads.models.index import MODELS
from embedcache.heads.prepare import touched_rows
from embedcache.heads.problem import Problem
from embedcache.heads.selection import select

__all__ = ["compare_features"]


def compare_features(
    problem: Problem, rows: TrainingRows, other: Problem, cache: str, asked: Asked
) -> OtherFeatures:
    """Fit the head on both caches' features of the same rows and folds, and compare.

    Labels and folds are those of the cache that is decided about; rows are joined by
    the digests of the images. Images that the other backbone was tuned with are left out.

    Args:
        problem: Of the cache that is decided about.
        rows: Its training rows.
        other: Of the other cache.
        cache: File of the other cache.
        asked: Which head is decided about.

    Raises:
        UsageError: The caches have too few images in common.
    """
    mine = np.ascontiguousarray(problem.digests[rows.row]).view("V32").ravel()
    theirs = np.ascontiguousarray(other.digests).view("V32").ravel()
    _, at, place = np.intersect1d(mine, theirs, return_indices=True)
    untouched = ~touched_rows(other.seen, other.group)[place]
    at, place = at[untouched], place[untouched]
    if not len(at) or len(np.unique(rows.labels[at])) < len(rows.classes):
        raise UsageError(
            "this cache has too few of the training rows' images that its backbone has not seen",
            where=cache,
            got=f"{len(at)} of {len(rows)}",
            expected="another backbone's features of the same data set",
            hint="embedcache extract SOURCE --backbone NAME",
        )
    at, place = at[np.argsort(at)], place[np.argsort(at)]
    common = rows.take(at, rows.features.take(at))
    wrong = [
        _errors(each, asked)
        for each in (common, rows.take(at, Features(other.features, place.astype(np.int64))))
    ]
    gain, error = paired_difference(
        wrong[0].astype(np.float64), wrong[1].astype(np.float64), common.group
    )
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    low, high = gain - z * error, gain + z * error
    if not (common.group >= 0).any():
        wins, losses = int((wrong[0] & ~wrong[1]).sum()), int((wrong[1] & ~wrong[0]).sum())
        interval = score_interval(wins, losses, len(common), z)
        low, high = interval.low, interval.high
    accuracy = 1 - float(wrong[1].mean())
    score = HeadScore(other.backbone, accuracy, gain, max(-1.0, low), min(1.0, high))
    return OtherFeatures(cache, len(common), score)


def _errors(rows: TrainingRows, asked: Asked) -> NDArray[np.bool_]:
    sample = rows.sample(sample_size(rows.features.dim, len(rows.classes)))
    model = MODELS[asked.model]
    found = select(
        model, sample.training, sample.group, sample.folds, by_folds=True, progress=asked.progress
    )
    wrong: NDArray[np.bool_] = (
        out_of_fold(rows, model, found.record.setting).argmax(axis=1) != rows.labels
    )
    return wrong
