"""The table beside a file of features has one line for each of its rows."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embedcache.datasets.feature_table import (
    FeatureTable,
    FeatureTableOptions,
    numbered_rows,
    read_feature_table,
)
from embedcache.errors import SourceError
from embedcache.storage.digests import sha256


def _read(folder: Path, text: str, count: int = 2, **options: str) -> FeatureTable:
    path = folder / "labels.csv"
    path.write_text(text)
    return read_feature_table(path, count, FeatureTableOptions(**options))


def test_columns_are_found_by_their_usual_names(tmp_path: Path) -> None:
    """Ids, labels, splits and groups; a blank label is none."""
    table = _read(tmp_path, "id,label,split,group\n01,b,train,g\n1,,test,\n")
    assert table.ids.texts() == ["01", "1"]
    assert (table.labels.tolist(), table.classes.texts()) == ([0, -1], ["b"])
    assert table.split.tolist() == [1, 3]
    assert (table.group.tolist(), table.groups.texts()) == ([0, -1], ["g"])


def test_parquet_is_read_likewise(tmp_path: Path) -> None:
    """Whole numbers are written without a point."""
    path = tmp_path / "labels.parquet"
    pq.write_table(pa.table({"id": [3, 4], "label": ["x", "y"]}), path)
    table = read_feature_table(path, 2, FeatureTableOptions())
    assert table.ids.texts() == ["3", "4"]
    assert table.classes.texts() == ["x", "y"]


def test_a_row_is_told_by_its_id(tmp_path: Path) -> None:
    """Its digest is the id's."""
    table = _read(tmp_path, "path,label\na.png,x\nb.png,y\n")
    assert table.digests is not None
    assert table.digests[0].tobytes() == sha256(b"a.png")


def test_a_column_of_digests_wins(tmp_path: Path) -> None:
    """Two rows may be of the same image."""
    digest = sha256(b"image")
    text = f"id,label,sha\na,x,{digest.hex()}\nb,x,{digest.hex().upper()}\n"
    table = _read(tmp_path, text, digest_column="sha")
    assert table.digests is not None
    assert [row.tobytes() for row in table.digests] == [digest, digest]


def test_rows_without_ids_are_numbered(tmp_path: Path) -> None:
    """And told apart by their features."""
    for table in (
        _read(tmp_path, "label\nx\ny\n"),
        _read(tmp_path, "id,label\na,x\na,y\n", id_column=""),
        numbered_rows(2),
    ):
        assert table.ids.texts() == ["0", "1"]
        assert table.digests is None
    assert np.array_equal(numbered_rows(2).labels, [-1, -1])


@pytest.mark.parametrize(
    ("text", "options", "match"),
    [
        ("id,label\na,x\n", {}, "another number of rows"),
        ("id,label\na,x\nb,x\nc,x\n", {}, "another number of rows"),
        ("id,label\na,x\na,y\n", {}, "the same id twice"),
        ("id,label\na,x\n,y\n", {}, "without an id"),
        ("id,split\na,train\nb,trian\n", {}, "unknown split"),
        ("id,label\na,x\nb,y\n", {"label_column": "kind"}, "no column for the label"),
        ("id,sha\na,12\nb,12\n", {"digest_column": "sha"}, "not a SHA-256"),
        ("id,sha\na,x\nb,x\n", {"digest_column": "sha"}, "not a SHA-256"),
        ("", {}, "empty"),
    ],
)
def test_tables_that_do_not_fit_are_refused(
    text: str, options: dict[str, str], match: str, tmp_path: Path
) -> None:
    """With the place and what was expected."""
    with pytest.raises(SourceError, match=match):
        _read(tmp_path, text, **options)


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    """By its suffix."""
    with pytest.raises(SourceError, match="unknown kind of table"):
        read_feature_table(tmp_path / "labels.xlsx", 2, FeatureTableOptions())
