"""Training rows dealt into parts for a pilot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from decisions import signals
from PIL import Image
from problems import blobs, cycle, problem

from embedcache.decision.divisions import divisions
from embedcache.decision.measure import Measured
from embedcache.decision.out_of_fold import out_of_fold
from embedcache.decision.pilot_result import Division
from embedcache.decision.training_rows import TrainingRows, training_rows
from embedcache.evaluation.folds import NEVER
from embedcache.heads.models.index import MODELS

LABELS = cycle(3, 90)
SETTING = {"C": 0.1}


def _measured(rows: TrainingRows) -> Measured:
    found = out_of_fold(rows, MODELS["logreg"], SETTING).argmax(axis=1)
    return Measured(signals(setting=SETTING), found == rows.labels, 0.1)


def _divide(rows: TrainingRows, trainings: int, picture: object = lambda _row: None) -> Division:
    return divisions(rows, _measured(rows), picture)(trainings)


def test_one_training_validates_the_first_fold() -> None:
    """Of the folds that the frozen head was measured in."""
    rows = training_rows(problem(LABELS, features=blobs(LABELS, spread=1.5)), seed=0)
    found = _divide(rows, 1)
    assert (found.validated == (rows.folds == 0)).all()
    assert (found.frozen == _measured(rows).hits).all()
    assert found.trainings == 1


@pytest.mark.parametrize("trainings", [3, 4, 5])
def test_several_validate_every_row_once(trainings: int) -> None:
    """In equal shares of every class, and beside a head that was fitted without the same part."""
    rows = training_rows(problem(LABELS, features=blobs(LABELS, spread=1.5)), seed=0)
    found = _divide(rows, trainings)
    assert found.trainings == trainings
    assert found.validated.all()
    for label in range(3):
        counts = np.bincount(found.part[rows.labels == label])
        assert counts.max() - counts.min() <= 1
    again = replace(rows, folds=found.part)
    assert (found.frozen == _measured(again).hits).all()
    assert (found.part == _divide(rows, trainings).part).all()


@pytest.mark.parametrize("trainings", [3, 4, 5])
def test_groups_and_near_duplicates_stay_in_one_part(trainings: int) -> None:
    """Also where a near duplicate joins two groups."""
    features = blobs(LABELS, dim=40, spread=1.5)
    features[3] = features[0]
    features[40] = features[43]
    group = np.full(90, -1, np.int32)
    group[:20] = np.arange(20) // 4
    names = problem(cycle(1, 5)).ids
    rows = training_rows(problem(LABELS, features=features, group=group, groups=names), seed=0)
    noise = np.random.default_rng(0).integers(0, 256, (90, 32, 32, 3)).astype(np.uint8)
    noise[3], noise[40] = noise[0], noise[43]
    part = _divide(rows, trainings, lambda row: Image.fromarray(noise[row])).part
    for code in range(5):
        assert len(set(part[group == code].tolist())) == 1
    assert part[40] == part[43]
    features[5] = features[0]  # of the first and the second group
    noise[5] = noise[0]
    rows = training_rows(problem(LABELS, features=features, group=group, groups=names), seed=0)
    part = _divide(rows, trainings, lambda row: Image.fromarray(noise[row])).part
    assert len(set(part[:8].tolist())) == 1


@pytest.mark.parametrize("trainings", [1, 3, 5])
def test_no_training_lacks_a_class(trainings: int) -> None:
    """The only row of a class, and whatever belongs to it, is in all of them and never judged."""
    labels = LABELS.copy()
    labels[7] = 3
    group = np.full(90, -1, np.int32)
    group[[7, 8]] = 0
    made = problem(labels, group=group, groups=problem(cycle(1, 1)).ids)
    found = _divide(training_rows(made, seed=0), trainings)
    assert found.part[7] == found.part[8] == NEVER
    for part in range(found.trainings):
        assert len(np.unique(labels[found.part != part])) == 4
