"""Opening a source."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from embedcache.datasets.source import SourceOptions, open_source, reopen
from embedcache.errors import SourceError, StorageError
from embedcache.records.manifest import SourceRecord

Maker = Callable[..., Path]


def test_folders_and_tables_are_told_apart(tree: Maker, table: Maker) -> None:
    """A folder is a folder, a .csv, .tsv or .txt file in any case is a table."""
    assert open_source(tree("cat/1.jpg")).source.kind == "folder"
    for name in ("m.csv", "m.TSV", "m.txt"):
        assert open_source(str(table("path\na.jpg\n", name))).source.kind == "table"


def test_a_record_opens_the_same_source_again(
    tree: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a cache keeps is enough, also from another working folder."""
    tree("x/1.jpg", "x/2.jpg")
    (tmp_path / "m.csv").write_text("p,y\n1.jpg,a\n2.jpg,b\n")
    monkeypatch.chdir(tmp_path)
    options = SourceOptions(root="data/x", path_column="p", label_column="y")
    manifest = open_source("m.csv", options)
    assert manifest.source == SourceRecord(
        "table",
        str(Path.cwd() / "m.csv"),
        {"root": str(Path.cwd() / "data/x"), "path_column": "p", "label_column": "y"},
    )
    monkeypatch.chdir("/")
    again = reopen(SourceRecord.from_json(manifest.source.to_json()))
    assert again.source == manifest.source
    assert again.ids == manifest.ids
    assert again.root == manifest.root
    assert again.labels.tolist() == manifest.labels.tolist()


def test_a_folder_records_nothing_but_its_place(tree: Maker) -> None:
    """Defaults are not recorded, and reopening sees what has been added since."""
    manifest = open_source(tree("cat/1.jpg"))
    assert manifest.source.options == {}
    tree("cat/2.jpg")
    assert reopen(manifest.source).ids.texts() == ["cat/1.jpg", "cat/2.jpg"]


def test_a_source_of_another_kind_than_recorded_is_refused(tree: Maker) -> None:
    """A folder where a table was is not the same source."""
    with pytest.raises(SourceError, match="changed its kind"):
        reopen(SourceRecord("table", str(tree("cat/1.jpg"))))


@pytest.mark.parametrize("name", ["nowhere", "nowhere.csv", "m.csv/below"])
def test_a_source_that_does_not_exist_is_an_error(table: Maker, name: str) -> None:
    """Nothing there, or below a file, is a usage error."""
    folder = table("path\na.jpg\n").parent
    with pytest.raises(SourceError, match="no such folder or table"):
        open_source(folder / name)


@pytest.mark.parametrize("name", ["a.jpg", "data.zip", "table"])
def test_a_file_of_another_kind_is_an_error(tree: Maker, name: str) -> None:
    """Single images and archives are neither folder nor table."""
    with pytest.raises(SourceError, match="neither a folder nor a table"):
        open_source(tree(name) / name)


def test_a_fifo_is_refused_without_being_opened(tmp_path: Path) -> None:
    """Opening a FIFO would hang for ever."""
    os.mkfifo(tmp_path / "m.csv")
    with pytest.raises(SourceError, match="neither a folder nor a table"):
        open_source(tmp_path / "m.csv")


def test_a_looping_link_is_a_storage_error(tmp_path: Path) -> None:
    """The system's refusal to follow it is passed on."""
    (tmp_path / "m.csv").symlink_to("m.csv")
    with pytest.raises(StorageError):
        open_source(tmp_path / "m.csv")


def test_options_that_do_not_apply_are_errors(tree: Maker, table: Maker) -> None:
    """A flag that would be ignored is refused instead."""
    folder, file = tree("cat/1.jpg"), table("path\na.jpg\n")
    for options in (
        SourceOptions(root=folder),
        SourceOptions(label_column="label"),
        SourceOptions(label_column=("a", "b")),
        SourceOptions(label_separator="|"),
        SourceOptions(group_column=""),
        SourceOptions(allow_outside=True),
    ):
        with pytest.raises(SourceError, match="does not apply to a folder"):
            open_source(folder, options)
    with pytest.raises(SourceError, match="labels from folders"):
        open_source(file, SourceOptions(labels="folder"))
