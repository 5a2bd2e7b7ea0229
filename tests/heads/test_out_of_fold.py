"""Scores of training rows by fits that have not seen them."""

import numpy as np
import pytest
from problems import blobs, cycle

from embedcache.heads.features import Features
from embedcache.heads.model import Training
from embedcache.heads.models.index import MODELS
from embedcache.heads.out_of_fold import out_of_fold


@pytest.mark.parametrize(("name", "setting"), [("logreg", {"C": 100.0}), ("ncm", {})])
def test_a_row_has_no_part_in_its_own_score(name: str, setting: dict[str, float]) -> None:
    """Noise is told apart at chance, though the fit knows its own rows by heart."""
    labels = cycle(2, 120)
    noise = np.random.default_rng(0).normal(size=(120, 300)).astype(np.float32)
    training = Training(Features.of(noise), labels, 0)
    scores = out_of_fold(MODELS[name], training, np.arange(120) // 2 % 5, setting)
    assert np.mean(scores.argmax(axis=1) == labels) < 0.7


def test_a_class_that_a_fold_has_not_seen_is_impossible() -> None:
    """Its score is −inf there, and finite elsewhere."""
    labels = np.r_[cycle(2, 20), [2, 2]].astype(np.int32)
    folds = np.r_[np.arange(20) // 2 % 2, [0, 0]]
    training = Training(Features.of(blobs(labels)), labels, 0)
    scores = out_of_fold(MODELS["ncm"], training, folds, {})
    assert np.isneginf(scores[folds == 0, 2]).all()
    assert np.isfinite(scores[folds == 1]).all()
