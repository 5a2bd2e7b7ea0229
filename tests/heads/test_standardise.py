"""Standardisation with a floor."""

import numpy as np
import pytest

from embedcache.heads.features import Features
from embedcache.heads.standardise import FLOOR, Scaler


def test_training_rows_get_mean_zero_and_unit_scale() -> None:
    """Features of like spread become standard."""
    rows = np.random.default_rng(0).normal(3, 2, size=(5000, 8)).astype(np.float16)
    scaled = Scaler.fit(rows).apply(rows, np.float32)
    assert scaled.dtype == np.float32
    assert scaled.mean(axis=0) == pytest.approx(np.zeros(8), abs=1e-3)
    assert scaled.std(axis=0) == pytest.approx(np.ones(8), abs=1e-3)


def test_scalers_without_each_fold_are_those_of_the_other_rows() -> None:
    """One pass over all rows gives what one fit for each fold gives, far from zero too."""
    rng = np.random.default_rng(0)
    rows, folds = rng.normal(1000, 1, (300, 6)).astype(np.float32), rng.integers(3, size=300)
    rows[:, 0] = 7
    rows[folds == 1, 1] = 5
    rows[folds != 1, 2] = 5
    scalers = Scaler.without_each(Features.of(rows), folds, np.arange(2))
    for fold, scaler in enumerate(scalers):
        alone = Scaler.fit(rows[folds != fold])
        assert scaler.mean == pytest.approx(alone.mean, abs=1e-9)
        assert scaler.scale == pytest.approx(alone.scale, abs=1e-9)


def test_nearly_dead_features_have_a_floor() -> None:
    """A feature with a thousandth of the median scale is divided by a tenth of it."""
    rows = np.random.default_rng(0).normal(size=(500, 5)) * [1, 2, 3, 4, 1e-3]
    scaler = Scaler.fit(rows)
    deviation = rows.std(axis=0)
    assert scaler.scale[:4] == pytest.approx(deviation[:4])
    assert scaler.scale[4] == pytest.approx(FLOOR * np.median(deviation))


def test_constant_features_keep_their_scale() -> None:
    """A constant is divided by 1, and does not pull the median down."""
    rows = np.random.default_rng(0).normal(size=(100, 5))
    rows[:, :3] = [0.1, 7, -3]
    scaler = Scaler.fit(rows)
    assert scaler.scale[:3].tolist() == [1, 1, 1]
    assert scaler.scale[3:] == pytest.approx(rows[:, 3:].std(axis=0))
    assert np.abs(scaler.apply(rows, np.float64)[:, :3]).max() < 1e-12


def test_all_constant_features_are_no_error() -> None:
    """A table without any variation becomes zeros."""
    rows = np.full((10, 3), 5, np.float16)
    assert np.array_equal(Scaler.fit(rows).apply(rows, np.float32), np.zeros((10, 3)))


def test_the_scaler_folds_into_the_weights() -> None:
    """Folded weights give raw features the logits of scaled ones."""
    rng = np.random.default_rng(0)
    rows, weights, intercept = rng.normal(5, 3, (50, 6)), rng.normal(size=(3, 6)), np.arange(3.0)
    scaler = Scaler.fit(rows)
    raw, moved = scaler.fold(weights, intercept)
    expected = scaler.apply(rows, np.float64) @ weights.T + intercept
    assert rows @ raw.T + moved == pytest.approx(expected)
