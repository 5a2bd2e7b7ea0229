"""Labels from the cells of a table."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcache.datasets.label_cells import Marks, Tags
from embedcache.datasets.options import SourceOptions
from embedcache.datasets.source import open_source, reopen
from embedcache.datasets.table import open_table
from embedcache.errors import SourceError
from embedcache.records.manifest import Manifest

Table = Callable[..., Path]
Row = frozenset[str] | None

NAME = st.text(st.characters(codec="ascii", exclude_categories=["Cc", "Zs"]), min_size=1)


def named(manifest: Manifest) -> list[Row]:
    """The labels of each row, `None` for unlabelled."""
    assert manifest.is_multilabel
    names = manifest.classes.texts()
    return [
        None if 255 in row else frozenset(name for name, mark in zip(names, row) if mark)  # noqa: B905  # a row may be empty
        for row in manifest.labels.tolist()
    ]


def test_tags_are_parted(table: Table) -> None:
    """Blank is unlabelled, a separator alone is none of them, spaces and repeats do not count."""
    path = table("path,tags\na.jpg,cat|indoor\nb.jpg,\nc.jpg,|\nd.jpg, dog | cat||dog\n")
    manifest = open_table(path, SourceOptions(label_column="tags", label_separator="|"))
    assert manifest.classes.texts() == ["cat", "dog", "indoor"]
    assert manifest.labels.dtype == "uint8"
    assert named(manifest) == [
        frozenset({"cat", "indoor"}),
        None,
        frozenset(),
        frozenset({"cat", "dog"}),
    ]


def test_the_usual_column_of_labels_may_hold_tags(table: Table) -> None:
    """A separator needs no name of a column where there is one of the usual names."""
    path = table("path,label\na.jpg,x;y\n", files="a")
    manifest = open_table(path, SourceOptions(label_separator=";"))
    assert named(manifest) == [frozenset({"x", "y"})]


def test_marks_name_a_class_each(table: Table) -> None:
    """Classes are the columns, sorted; a blank cell anywhere makes the row unlabelled."""
    path = table("path,wet,cold\na.jpg,1,0\nb.jpg,True,FALSE\nc.jpg,,1\nd.jpg,0.0,0\n")
    manifest = open_table(path, SourceOptions(label_column=("wet", "cold")))
    assert manifest.classes.texts() == ["cold", "wet"]
    assert named(manifest) == [frozenset({"wet"}), frozenset({"wet"}), None, frozenset()]
    assert "labels from 2 columns" in manifest.notes[0]


def test_one_column_in_a_list_is_an_indicator(table: Table) -> None:
    """A single class of its own is multilabel all the same."""
    path = table("path,wet\na.jpg,1\nb.jpg,0\n", files="ab")
    manifest = open_table(path, SourceOptions(label_column=("wet",)))
    assert named(manifest) == [frozenset({"wet"}), frozenset()]


def test_labels_can_be_left_out(table: Table) -> None:
    """Without labels there are none, however they would be read."""
    path = table("path,wet,cold\na.jpg,1,0\n", files="a")
    manifest = open_table(path, SourceOptions(labels="none", label_column=("wet", "cold")))
    assert not manifest.is_multilabel
    assert manifest.labels.tolist() == [-1]


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ("path,a,b\na.jpg,1,yes\n", SourceOptions(label_column=("a", "b")), "line 2, column 'b'"),
        ("path,a,b\na.jpg,1,2\n", SourceOptions(label_column=("a", "b")), "neither 0 nor 1"),
        ("path,a\na.jpg,1\n", SourceOptions(label_column=("a", "b")), "no column for the label"),
        ("path,tags\na.jpg,x\n", SourceOptions(label_separator="|"), "that the separator parts"),
        (
            "path,t\na.jpg,\u00e9\nb.jpg,x|e\u0301\n",
            SourceOptions(label_column="t", label_separator="|"),
            "Unicode",
        ),
    ],
)
def test_what_cannot_be_read_is_named(
    table: Table, content: str, options: SourceOptions, said: str
) -> None:
    """The place, the column and the cell."""
    with pytest.raises(SourceError) as caught:
        open_table(table(content), options)
    assert said in str(caught.value)


@given(
    st.lists(st.none() | st.frozensets(NAME, max_size=4), max_size=12),
    st.sampled_from(["|", ";", ", ", "/", "||", "\t"]),
)
def test_any_sets_of_tags_come_back(rows: list[Row], separator: str) -> None:
    """What is joined by a separator of which no name holds a character is parted again."""
    gone = str.maketrans("", "", separator)
    free = [row and frozenset(name.translate(gone) for name in row) - {""} for row in rows]
    tags = Tags(1, separator, str)
    for at, row in enumerate(free):
        tags.add(["" if row is None else separator.join(row) or separator], at)
    labels, names = tags.finish()
    assert names.texts() == sorted(set().union(*filter(None, free)))
    assert labels.shape == (len(free), len(names))
    for row, found in zip(free, labels.tolist(), strict=True):
        if row is None:
            assert set(found) <= {255}
        else:
            assert found == [name in row for name in names.texts()]


@given(
    st.lists(NAME, min_size=1, max_size=4, unique=True).flatmap(
        lambda names: st.tuples(
            st.just(names),
            st.lists(
                st.lists(
                    st.sampled_from(["0", "1", " TRUE", "false ", "1.0", "0.0", "", " "]),
                    min_size=len(names),
                    max_size=len(names),
                ),
                max_size=9,
            ),
        )
    )
)
def test_any_marks_come_back(given_: tuple[list[str], list[list[str]]]) -> None:
    """Each row is 255 throughout, or as marked, in the order of the sorted names."""
    names, rows = given_
    marks = Marks(range(len(names)), names, str)
    for at, row in enumerate(rows):
        marks.add([row[column] for column in marks.columns], at)
    labels, found = marks.finish()
    assert found.texts() == sorted(names)
    for row, label in zip(rows, labels.tolist(), strict=True):
        cells = {name: cell.strip().lower() for name, cell in zip(names, row, strict=True)}
        if "" in cells.values():
            assert set(label) == {255}
        else:
            assert label == [cells[name] in ("1", "1.0", "true") for name in found.texts()]


@given(
    st.lists(st.lists(NAME, max_size=3), min_size=1, max_size=5),
    st.sampled_from(["|", ";", ","]),
)
def test_any_cells_of_tags_reopen_the_same(cells: list[list[str]], separator: str) -> None:
    """A table that is read again by its record gives the same labels."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "m.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "what, then"])
            for number, names in enumerate(cells):
                (path.parent / f"{number}.png").touch()
                writer.writerow([f"{number}.png", separator.join(names)])
        options = SourceOptions(label_column="what, then", label_separator=separator)
        first = open_source(path, options)
        again = reopen(first.source)
    assert named(first) == named(again)
    assert first.source == again.source
    assert first.classes == again.classes


def test_columns_of_marks_reopen_the_same(table: Table) -> None:
    """Also where their names hold commas and quotes, or are a list themselves."""
    path = table('path,"a,""b","[""x""]"\na.jpg,1,0\n', files="a")
    first = open_source(path, SourceOptions(label_column=('a,"b', '["x"]')))
    assert named(reopen(first.source)) == named(first) == [frozenset({'a,"b'})]
