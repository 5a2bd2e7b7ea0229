"""Reading Parquet."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcache.datasets.columns import Columns
from embedcache.datasets.parquet_rows import cell_text, open_parquet
from embedcache.errors import EmbedcacheError, MissingExtraError, SourceError

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    parquet.write_table(pyarrow.table(columns), path, **options)
    return path


def read(path: Path) -> list[tuple[int, list[str]]]:
    """All rows of the first two columns."""
    with open_parquet(path) as rows:
        return [(row, list(cells)) for row, cells in rows.select(Columns(0, 1, None, None))]


def test_cells_come_as_text_with_their_row(tmp_path: Path) -> None:
    """Rows are counted from 1 through all row groups; a column that lacks is empty."""
    path = write(
        tmp_path / "m.parquet",
        {"path": ["a", "b", "c"], "label": pyarrow.array(["x", None, "01"]).dictionary_encode()},
        row_group_size=1,
    )
    assert read(path) == [
        (1, ["a", "x", "", ""]),
        (2, ["b", "", "", ""]),
        (3, ["c", "01", "", ""]),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("01", "01"),
        ("NaN", "NaN"),
        (None, ""),
        (float("nan"), ""),
        (7, "7"),
        (1.0, "1"),
        (-2.0, "-2"),
        (0.5, "0.5"),
        (float("inf"), "inf"),
        (True, "True"),
        (b"x", None),
        ([1], None),
    ],
)
def test_values_as_text(value: Any, text: str | None) -> None:
    """Text stays, whole floats lose their `.0`, null and NaN are empty, the rest has no text."""
    assert cell_text(value) == text


def test_integers_with_a_gap_are_the_same_labels_as_without(tmp_path: Path) -> None:
    """A data frame's floats that stand for integers read like the integers."""
    whole = write(tmp_path / "i.parquet", {"path": ["a", "b"], "label": [1, 2]})
    gappy = write(tmp_path / "f.parquet", {"path": ["a", "b"], "label": [1.0, float("nan")]})
    assert [cells[1] for _, cells in read(whole)] == ["1", "2"]
    assert [cells[1] for _, cells in read(gappy)] == ["1", ""]


def test_cells_without_plain_text_are_an_error(tmp_path: Path) -> None:
    """Nested and timed cells are named by their row."""
    path = write(
        tmp_path / "m.parquet",
        {"path": ["a", "b"], "label": [None, datetime(2026, 1, 1, tzinfo=UTC)]},
    )
    with pytest.raises(SourceError, match=r"m\.parquet, row 2"):
        read(path)


def test_text_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    """A column that claims to be text and is not is refused."""
    raw = pyarrow.array([b"a", b"\xff"], pyarrow.binary())
    path = write(tmp_path / "m.parquet", {"path": raw.view(pyarrow.string()), "label": ["x", "y"]})
    with pytest.raises(SourceError, match="not a sound Parquet file"):
        read(path)


def test_damage_is_an_error(tmp_path: Path) -> None:
    """A truncated file and a file of another kind are refused."""
    path = write(tmp_path / "m.parquet", {"path": ["a"] * 50, "label": ["x"] * 50})
    whole = path.read_bytes()
    for content in (whole[:-20], whole[:10], b"", b"path,label\na.jpg,x\n"):
        path.write_bytes(content)
        with pytest.raises(SourceError, match="not a sound Parquet file"):
            read(path)


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda data: b"PAR1" + data + b"PAR1"))
def test_arbitrary_bytes_are_an_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    """Whatever the file holds, nothing but our own error comes out."""
    path = tmp_path_factory.getbasetemp() / "fuzz.parquet"
    path.write_bytes(content)
    with pytest.raises(EmbedcacheError):
        read(path)


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"embedcache\[parquet\]"):
        read(tmp_path / "m.parquet")
