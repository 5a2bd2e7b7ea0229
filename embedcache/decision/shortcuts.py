"""`strongest_feature`: whether a single feature gives a class away.

n is the number of rows, D the embedding dimension, K the number of classes.
"""

from __future__ import annotations

import numpy as np

from embedcache.decision.signals import Shortcut
from embedcache.decision.training_rows import TrainingRows

__all__ = ["strongest_feature"]

_LEAST = 10
"""A class of fewer rows is told from the rest by one of a thousand features by chance."""


def strongest_feature(sample: TrainingRows) -> Shortcut | None:
    """The feature that best tells one class from all others, by its area under the ROC curve.

    None where no class has ten rows, with ten others. The area is the Mann–Whitney
    statistic of mid-ranks (Hanley & McNeil 1982, *The meaning and use of the area under a
    receiver operating characteristic curve*), of D · K pairs in one product.

    Args:
        sample: The n rows.
    """
    from scipy.stats import rankdata

    labels, n = sample.labels, len(sample)
    counts = np.bincount(labels).astype(np.float64)
    usable = (counts >= _LEAST) & (n - counts >= _LEAST)
    if not usable.any():
        return None
    ranks = rankdata(sample.features.array(), axis=0)
    member = (labels[:, None] == np.arange(len(counts))).astype(np.float64)
    sums = member.T @ ranks - (counts * (counts + 1) / 2)[:, None]
    area = sums / np.maximum(counts * (n - counts), 1)[:, None]
    telling = np.where(usable[:, None], np.abs(area - 0.5) + 0.5, 0.0)
    which, feature = np.unravel_index(int(telling.argmax()), telling.shape)
    return Shortcut(int(feature), sample.classes[int(which)], float(telling[which, feature]))
