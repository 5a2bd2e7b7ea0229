"""The rows of a run on disk."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from problems import digests

from embedcache.errors import CacheInvalidError, UsageError
from embedcache.heads.rows import RunRows
from embedcache.heads.tensors import tensor_bytes

ROWS = RunRows(digests(9), np.arange(-1, 8, dtype=np.int32), np.arange(9, dtype=np.uint8))


def test_rows_come_back(tmp_path: Path) -> None:
    """Digest, label and side survive."""
    ROWS.save(tmp_path)
    again = RunRows.load(tmp_path)
    for name in ("digest", "label", "side"):
        assert np.array_equal(getattr(ROWS, name), getattr(again, name))


@pytest.mark.parametrize("at", [0, 8, 60, 300, -1, -20, -100])
def test_damage_is_noticed(at: int, tmp_path: Path) -> None:
    """A flipped bit anywhere is refused."""
    ROWS.save(tmp_path)
    path = tmp_path / "rows.safetensors"
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)
    with pytest.raises(CacheInvalidError):
        RunRows.load(tmp_path)


def test_columns_of_different_lengths_are_refused(tmp_path: Path) -> None:
    """Each row has all three columns."""
    tensors = {"digest": ROWS.digest, "label": ROWS.label[:-1], "side": ROWS.side}
    (tmp_path / "rows.safetensors").write_bytes(tensor_bytes(tensors, {}))
    with pytest.raises(CacheInvalidError, match="lengths"):
        RunRows.load(tmp_path)


MARKS = np.array([[0, 1], [1, 1], [255, 255]] * 3, np.uint8)


def test_marks_come_back_where_they_are_expected(tmp_path: Path) -> None:
    """Who takes one label for each image is told so, and not that the file is damaged."""
    replace(ROWS, label=MARKS).save(tmp_path)
    assert np.array_equal(RunRows.load(tmp_path, several=True).label, MARKS)
    with pytest.raises(UsageError, match="any number of labels"):
        RunRows.load(tmp_path)


def test_what_is_no_mark_is_refused(tmp_path: Path) -> None:
    """A two, or a row that is unlabelled in part."""
    for label in ([0, 2], [255, 0]):
        marks = MARKS.copy()
        marks[0] = label
        replace(ROWS, label=marks).save(tmp_path)
        with pytest.raises(CacheInvalidError, match="not the rows"):
            RunRows.load(tmp_path, several=True)
