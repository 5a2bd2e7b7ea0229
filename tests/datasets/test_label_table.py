"""Labels for images that are embedded already."""

from pathlib import Path

import pytest

from embedcache.datasets.label_table import LabelTable, read_labels
from embedcache.datasets.options import SourceOptions
from embedcache.errors import SourceError


def _read(folder: Path, text: str, root: str = "/data") -> LabelTable:
    path = folder / "labels.csv"
    path.write_text(text)
    return read_labels(path, root)


def test_ids_and_labels_are_read(tmp_path: Path) -> None:
    """By a column of ids or of paths; a blank cell is no label."""
    found = _read(tmp_path, "id,label\na/1.png,cat\na/2.png,\nb.png,ant\n")
    assert found.ids == (b"a/1.png", b"a/2.png", b"b.png")
    assert found.labels.tolist() == [1, -1, 0]
    assert found.classes.texts() == ["ant", "cat"]
    assert _read(tmp_path, "path;class\n/data/./x.png;cat\n").ids == (b"x.png",)


def test_the_column_of_ids_wins(tmp_path: Path) -> None:
    """A table may have both."""
    assert _read(tmp_path, "path,Id,label\n/else/1.png,1.png,cat\n").ids == (b"1.png",)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("id,kind\n1.png,cat\n", "no column of labels"),
        ("name,label\n1.png,cat\n", "column"),
        ("id,label\n1.png,cat\n./1.png,dog\n", "twice"),
        ("id,label\n", "no rows"),
        ("", "empty"),
    ],
)
def test_malformed_tables_are_refused(text: str, match: str, tmp_path: Path) -> None:
    """With the place and what was expected."""
    with pytest.raises(SourceError, match=match):
        _read(tmp_path, text)


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    """As what it is."""
    with pytest.raises(SourceError):
        read_labels(tmp_path / "none.csv", "/data")


def test_several_labels_are_read(tmp_path: Path) -> None:
    """By a separator in one column, or a column of marks for each."""
    text = "id,tags,a,b\n1.png,b|a,1,1\n2.png,|,0,0\n3.png,,,0\n"
    path = tmp_path / "labels.csv"
    path.write_text(text)
    for options in (
        SourceOptions(label_column="tags", label_separator="|"),
        SourceOptions(label_column=("b", "a")),
    ):
        found = read_labels(path, "/data", options)
        assert found.labels.tolist() == [[1, 1], [0, 0], [255, 255]]
        assert found.classes.texts() == ["a", "b"]
