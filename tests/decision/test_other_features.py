"""Another cache of the same images."""

import numpy as np
import pytest
from problems import blobs, cycle, digests, problem

from embedcache.decision.measure import Asked
from embedcache.decision.other_features import compare_features
from embedcache.decision.training_rows import training_rows
from embedcache.errors import UsageError

ASKED = Asked("logreg", None, 0.01, None)
LABELS = cycle(3, 300)


def test_better_features_are_found_in_whatever_order_they_lie() -> None:
    """Rows are joined by the image; labels are those of the cache that is decided about."""
    mine = problem(LABELS, features=blobs(LABELS, spread=2.0))
    order = np.random.default_rng(0).permutation(300)
    other = problem(
        np.zeros(300, np.int32),
        features=blobs(LABELS, dim=20, spread=1.0)[order],
        digests=digests(300)[order],
    )
    found = compare_features(mine, training_rows(mine, seed=0), other, "other.h5", ASKED)
    assert found.rows == 300
    assert found.score.low > 0
    assert found.score.low < found.score.gain < found.score.high


def test_the_same_features_are_not_better() -> None:
    """Not by a single row."""
    mine = problem(LABELS, features=blobs(LABELS, spread=2.0))
    score = compare_features(mine, training_rows(mine, seed=0), mine, "mine.h5", ASKED).score
    assert score.gain == 0
    assert score.low < 0 < score.high


def test_other_images_are_a_usage_error() -> None:
    """There is nothing to compare."""
    mine = problem(LABELS)
    other = problem(LABELS, digests=digests(300, start=1_000))
    with pytest.raises(UsageError, match="too few"):
        compare_features(mine, training_rows(mine, seed=0), other, "other.h5", ASKED)
