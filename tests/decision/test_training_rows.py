"""The rows that a decision may read."""

from dataclasses import replace

import numpy as np
import pytest
from problems import cycle, digests, problem

from embedcache.decision.training_rows import training_rows
from embedcache.errors import UnfittableError

LABELS = cycle(3, 120)


def test_rows_set_aside_by_the_source_are_left_alone() -> None:
    """What remains is every training row, in its cache's numbering."""
    split = np.where(np.arange(120) < 30, 3, 1).astype(np.uint8)
    found = training_rows(problem(LABELS, split=split), seed=0)
    assert found.row.tolist() == list(range(30, 120))
    assert found.aside == 30


def test_copies_and_contradictions_are_counted() -> None:
    """A copy across sides, and an image under two labels among the training rows."""
    images = digests(120)
    images[50], images[60] = images[0], images[61]
    split = np.where(np.arange(120) < 30, 3, 1).astype(np.uint8)
    found = training_rows(problem(LABELS, digests=images, split=split), seed=0)
    assert found.copies == 1
    assert found.conflicting == 2
    assert not {50, 60, 61} & set(found.row.tolist())


def test_a_sample_is_stratified_and_keeps_groups_whole() -> None:
    """A third of each class; no group is torn."""
    group = (np.arange(120) // 2).astype(np.int32)
    rows = training_rows(problem(LABELS, group=group, groups=problem(cycle(1, 60)).ids), seed=0)
    sample = rows.sample(40)
    assert 30 <= len(sample) <= 50
    assert np.bincount(sample.labels).min() >= 8
    assert (np.bincount(sample.group)[np.unique(sample.group)] == 2).all()
    assert rows.sample(120) is rows


def test_several_labels_a_row_are_refused() -> None:
    """One class for each row is what the questions are about."""
    several = replace(problem(LABELS), labels=np.zeros((120, 3), np.int32))
    with pytest.raises(UnfittableError, match="one class for each row"):
        training_rows(several, seed=0)
