"""A single feature that gives a class away."""

import numpy as np
import pytest
from problems import blobs, cycle, problem
from sklearn.metrics import roc_auc_score

from embedcache.decision.shortcuts import strongest_feature
from embedcache.decision.training_rows import training_rows


def test_it_is_the_largest_area_of_all_features_and_classes() -> None:
    """Ties included, and below one half turned around."""
    labels = cycle(3, 300)
    features = np.maximum(blobs(labels, dim=6), 0)
    found = strongest_feature(training_rows(problem(labels, features=features), seed=0))
    areas = {
        (column, code): abs(roc_auc_score(labels == code, features[:, column]) - 0.5) + 0.5
        for column in range(6)
        for code in range(3)
    }
    feature, code = max(areas, key=lambda key: areas[key])
    assert found is not None
    assert (found.feature, found.name) == (feature, f"class {code}")
    assert found.auroc == pytest.approx(areas[feature, code])


def test_small_classes_tell_nothing() -> None:
    """Of a thousand features one always sorts nine rows."""
    labels = cycle(2, 18)
    assert strongest_feature(training_rows(problem(labels), seed=0)) is None
