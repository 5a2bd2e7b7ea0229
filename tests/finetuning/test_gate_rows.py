"""What a gate saw of each row, and how it is read back from anybody's file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tunings import gate_rows

from embedcache.errors import CacheInvalidError
from embedcache.finetuning.gate_rows import GateRows
from embedcache.runs.folder import GATE_ROWS


def test_rows_that_changed_sides_are_told_apart() -> None:
    """Fixed and broken, the surest answers first."""
    rows = gate_rows(fixed=3, broken=2)
    assert rows.fixed.tolist() == [2, 1, 0]
    assert rows.broken.tolist() == [4, 3]


def test_they_survive_the_disk(tmp_path: Path) -> None:
    """Column by column."""
    rows = gate_rows()
    rows.save(tmp_path)
    found = GateRows.load(tmp_path)
    for name in ("digest", "label", "before", "after", "sure"):
        assert np.array_equal(getattr(found, name), getattr(rows, name))
        assert getattr(found, name).dtype == getattr(rows, name).dtype


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    """A byte of a column, the end of the file, or no file at all."""
    with pytest.raises(CacheInvalidError, match="missing"):
        GateRows.load(tmp_path)
    gate_rows().save(tmp_path)
    path = tmp_path / GATE_ROWS
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(CacheInvalidError, match="damaged"):
        GateRows.load(tmp_path)
    path.write_bytes(data[:-1])
    with pytest.raises(CacheInvalidError, match="not the rows"):
        GateRows.load(tmp_path)
