"""What was predicted of the judged rows, on disk."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from problems import cycle, digests, problem

from embedcache.errors import CacheInvalidError
from embedcache.heads.fit import fit
from embedcache.heads.predictions import Predictions
from embedcache.heads.rows import RunRows
from embedcache.heads.tensors import tensor_bytes

ROWS = RunRows(digests(9), np.array([-1, 0, 1, 2, 0, 1, 2, 0, 1], np.int32), np.ones(9, np.uint8))
SHARES = np.random.default_rng(0).dirichlet(np.ones(3), 4).astype(np.float32)
GIVEN = Predictions(np.array([1, 3, 5, 8]), np.array([-1, 3, 3, -1], np.int32), SHARES)


def test_predictions_come_back(tmp_path: Path) -> None:
    """Row, group and probabilities survive, bit by bit."""
    GIVEN.save(tmp_path)
    again = Predictions.load(tmp_path, ROWS)
    for name in ("row", "group", "probability"):
        assert np.array_equal(getattr(GIVEN, name), getattr(again, name))


@pytest.mark.parametrize("at", [0, 8, 60, 300, -1, -20, -60])
def test_damage_is_noticed(at: int, tmp_path: Path) -> None:
    """A flipped bit anywhere is refused."""
    GIVEN.save(tmp_path)
    path = tmp_path / "predictions.safetensors"
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)
    with pytest.raises(CacheInvalidError):
        Predictions.load(tmp_path, ROWS)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"row": np.array([1, 2, 5, 9])}, "does not have"),
        ({"row": np.array([-1, 2, 5, 8])}, "does not have"),
        ({"row": np.array([1, 2, 2, 8])}, "does not have"),
        ({"row": np.array([0, 2, 5, 8])}, "without a column"),
        ({"probability": np.full((4, 2), 0.5, np.float32)}, "without a column"),
        ({"probability": 2 * SHARES}, "not probabilities"),
        ({"probability": np.full((4, 3), np.nan, np.float32)}, "not probabilities"),
        ({"probability": np.tile(np.float32([2, -1, 0]), (4, 1))}, "not probabilities"),
    ],
)
def test_false_predictions_are_refused(changes: dict[str, Any], match: str, tmp_path: Path) -> None:
    """Rows that are not in the run, classes without a column, and what is no probability."""
    replace(GIVEN, **changes).save(tmp_path)
    with pytest.raises(CacheInvalidError, match=match):
        Predictions.load(tmp_path, ROWS)


def test_columns_of_different_lengths_are_refused(tmp_path: Path) -> None:
    """Each row has all three columns."""
    tensors = {"row": GIVEN.row, "group": GIVEN.group[:-1], "probability": SHARES}
    (tmp_path / "predictions.safetensors").write_bytes(tensor_bytes(tensors, {}))
    with pytest.raises(CacheInvalidError, match="lengths"):
        Predictions.load(tmp_path, ROWS)


@pytest.mark.parametrize("given", [False, True])
def test_they_are_the_answers_that_the_report_scores(*, given: bool, tmp_path: Path) -> None:
    """Accuracy and log-loss of a cross-validation and of a hold-out follow from them."""
    split = np.where(np.arange(90) < 60, 1, 3) if given else np.zeros(90)
    fitted = fit(problem(cycle(3, 90), split=split.astype(np.uint8)), values=(0.01,))
    fitted.save(tmp_path)
    rows = RunRows.load(tmp_path)
    found = Predictions.load(tmp_path, rows)
    labels = rows.label[found.row]
    evaluation = fitted.report.evaluation
    assert len(labels) == evaluation.rows
    accuracy = (found.probability.argmax(axis=1) == labels).mean()
    assert accuracy == pytest.approx(evaluation.score("accuracy").value)
    loss = -np.log(found.probability[np.arange(len(labels)), labels]).mean()
    assert loss == pytest.approx(evaluation.score("log-loss").value, rel=1e-5)


def test_probabilities_of_labels_need_not_sum_to_one(tmp_path: Path) -> None:
    """Each is one of its own, for a labelled row, and there is a column for each label."""
    marks = np.array([[255] * 3, *[[1, 0, 1]] * 8], np.uint8)
    rows = replace(ROWS, label=marks)
    shares = np.tile(np.float32([0.9, 0.8, 0.1]), (4, 1))
    replace(GIVEN, probability=shares).save(tmp_path)
    assert np.array_equal(Predictions.load(tmp_path, rows).probability, shares)
    for changes, match in (
        ({"probability": shares[:, :2]}, "without a column"),
        ({"probability": 2 * shares}, "not probabilities"),
        ({"probability": shares, "row": np.array([0, 3, 5, 8])}, "without labels"),
    ):
        replace(GIVEN, **changes).save(tmp_path)
        with pytest.raises(CacheInvalidError, match=match):
            Predictions.load(tmp_path, rows)
