"""The columns of a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedcache.datasets.columns import Columns, Rows, choose_columns
from embedcache.datasets.options import DEFAULTS, SourceOptions
from embedcache.errors import SourceError


def rows(*header: str) -> Rows:
    return Rows(Path("/m.csv"), "line", header, lambda _: iter(()))


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        (("path", "label", "split", "group"), Columns(0, 1, 2, 3)),
        (("", "Class", "FILENAME"), Columns(2, 1, None, None)),
        (("image", " label", "Subset", "patient_id"), Columns(0, 1, 2, 3)),
        (("image", "path"), Columns(1, None, None, None)),
        (("file_name", "target", "category"), Columns(0, 1, None, None)),
    ],
)
def test_usual_names_are_found(header: tuple[str, ...], columns: Columns) -> None:
    """In any case, with spaces around them, the first of the usual names that there is."""
    assert choose_columns(rows(*header), DEFAULTS) == columns


def test_given_names_win_and_are_exact() -> None:
    """A flag picks its column although there are usual names."""
    options = SourceOptions(
        path_column="p", label_column="Species", split_column="s", group_column="site"
    )
    header = ("path", "label", "p", "species", "Species", "s", "split", "site")
    assert choose_columns(rows(*header), options) == Columns(2, 4, 5, 7)


def test_an_empty_name_means_no_such_column() -> None:
    """A column with a usual name can be passed over."""
    options = SourceOptions(label_column="", split_column="", group_column="")
    header = ("path", "label", "split", "group")
    assert choose_columns(rows(*header), options) == Columns(0, None, None, None)
    with pytest.raises(SourceError, match="no column for the path"):
        choose_columns(rows(*header), SourceOptions(path_column=""))


def test_labels_none_reads_no_labels() -> None:
    """`labels="none"` passes over a label column, also one that was named."""
    options = SourceOptions(labels="none", label_column="y")
    assert choose_columns(rows("path", "label"), options).label is None


@pytest.mark.parametrize(
    ("header", "options", "flag"),
    [
        (("cat/1.jpg", "cat"), DEFAULTS, "--path-column"),
        (("path", "y"), SourceOptions(label_column="label"), "--label-column"),
        (("path", "y"), SourceOptions(split_column="split"), "--split-column"),
        (("path", "y"), SourceOptions(group_column="Path"), "--group-column"),
    ],
)
def test_a_missing_column_is_an_error(
    header: tuple[str, ...], options: SourceOptions, flag: str
) -> None:
    """The message lists the columns that there are and names the flag."""
    with pytest.raises(SourceError, match="no column for") as caught:
        choose_columns(rows(*header), options)
    assert all(repr(name) in str(caught.value.got) for name in header)
    assert flag in str(caught.value.hint)


def test_two_columns_of_one_name_are_an_error() -> None:
    """Which of them is meant cannot be known; two unused ones do not matter."""
    with pytest.raises(SourceError, match="'label' and 'Label'"):
        choose_columns(rows("path", "label", "Label"), DEFAULTS)
    assert choose_columns(rows("path", "x", "x"), DEFAULTS).path == 0
