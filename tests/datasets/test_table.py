"""A table as a manifest."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcache.datasets.options import DEFAULTS, SourceOptions
from embedcache.datasets.table import open_table
from embedcache.errors import EmbedcacheError, SourceError, StorageError
from embedcache.records.manifest import SPLITS, Manifest

Table = Callable[..., Path]


def named(names: list[str], codes: list[int]) -> list[str]:
    return [names[code] if code >= 0 else "" for code in codes]


def listing(manifest: Manifest) -> list[tuple[str, str, str, str]]:
    """Rows as (id, label, split, group), each empty for none."""
    return list(
        zip(
            manifest.ids.texts(),
            named(manifest.classes.texts(), manifest.labels.tolist()),
            [SPLITS[code] for code in manifest.split],
            named(manifest.groups.texts(), manifest.group.tolist()),
            strict=True,
        )
    )


def test_rows_keep_their_order_and_their_strings(table: Table) -> None:
    """Labels and groups stay exactly as written; blank cells are none."""
    path = table(
        "path,label,split,patient\n"
        "d.jpg,01,Train,p2\nb.jpg,1,validation,\na.jpg,NaN,TEST,p1\nc.jpg, ,,p2\n"
    )
    manifest = open_table(path, DEFAULTS)
    assert listing(manifest) == [
        ("d.jpg", "01", "train", "p2"),
        ("b.jpg", "1", "val", ""),
        ("a.jpg", "NaN", "test", "p1"),
        ("c.jpg", "", "", "p2"),
    ]
    assert manifest.classes.texts() == ["01", "1", "NaN"]
    assert manifest.root == str(path.parent)
    assert (manifest.labels.dtype, manifest.split.dtype, manifest.group.dtype) == (
        "int32",
        "uint8",
        "int32",
    )
    assert manifest.notes == (
        (
            "columns read: path from 'path', label from 'label', split from 'split', "
            "group from 'patient'"
        ),
    )


def test_a_table_without_labels_is_unlabelled(table: Table) -> None:
    """A list of paths is enough, and a note says that there are no labels."""
    manifest = open_table(table("file\na.jpg\n"), DEFAULTS)
    assert listing(manifest) == [("a.jpg", "", "", "")]
    assert any("--label-column" in note for note in manifest.notes)


def test_missing_images_are_samples(table: Table) -> None:
    """A row whose image is not there is for extraction to reject."""
    manifest = open_table(table("path\na.jpg\nlost.jpg\n"), DEFAULTS)
    assert manifest.ids.texts() == ["a.jpg", "lost.jpg"]


def test_all_images_missing_is_an_error(table: Table) -> None:
    """A wrong root is found before anything is embedded."""
    with pytest.raises(SourceError, match="--root"):
        open_table(table("path\nx/a.jpg\nx/b.jpg\n"), DEFAULTS)


def test_the_root_is_where_relative_paths_start(table: Table, tmp_path: Path) -> None:
    """Images may lie elsewhere than the table."""
    path = table("path\na.jpg\n")
    (tmp_path / "lists").mkdir()
    moved = path.rename(tmp_path / "lists" / "m.csv")
    manifest = open_table(moved, SourceOptions(root=tmp_path))
    assert manifest.path(0) == bytes(tmp_path / "a.jpg")
    with pytest.raises(SourceError, match="the root is not a folder"):
        open_table(moved, SourceOptions(root=tmp_path / "a.jpg"))


def test_images_outside_of_the_root_when_allowed(table: Table, tmp_path: Path) -> None:
    """Such ids still lead to the files."""
    table("")
    (tmp_path / "lists").mkdir()
    path = tmp_path / "lists" / "m.csv"
    path.write_text(f"path\n../a.jpg\n{tmp_path}/b.jpg\n")
    with pytest.raises(SourceError, match=r"m\.csv, line 2"):
        open_table(path, DEFAULTS)
    manifest = open_table(path, SourceOptions(allow_outside=True))
    assert all(Path(manifest.path(i).decode()).exists() for i in range(2))


@pytest.mark.parametrize("content", ["path,label\n", "path,label\r\n\r\n"])
def test_a_header_without_rows_is_an_error(table: Table, content: str) -> None:
    """A table without rows is an empty source."""
    with pytest.raises(SourceError, match="no rows"):
        open_table(table(content), DEFAULTS)


def test_a_path_twice_is_an_error(table: Table) -> None:
    """Both lines are named, also where the spellings differ."""
    with pytest.raises(SourceError, match="the same path twice") as caught:
        open_table(table("path,label\na.jpg,x\nb.jpg,x\n./a.jpg,y\n"), DEFAULTS)
    assert str(caught.value.where).endswith("m.csv, line 2 and line 4")


def test_an_unknown_split_is_an_error(table: Table) -> None:
    """The line, the value and the way around are named."""
    path = table("path,set\na.jpg,train\nb.jpg,holdout\n")
    with pytest.raises(SourceError, match=r"m\.csv, line 3") as caught:
        open_table(path, DEFAULTS)
    assert caught.value.got == "'holdout'"
    assert len(open_table(path, SourceOptions(split_column=""))) == 2


@pytest.mark.parametrize("column", ["label", "group"])
def test_two_unicode_forms_are_an_error(table: Table, column: str) -> None:
    """Labels and groups equal after NFC name both lines."""
    with pytest.raises(SourceError, match="Unicode form") as caught:
        open_table(table(f"path,{column}\na.jpg,\u00e9\nb.jpg,e\u0301\n"), DEFAULTS)
    assert "line 2" in str(caught.value.where)
    assert "line 3" in str(caught.value.where)


def test_lookalike_labels_get_a_note(table: Table) -> None:
    """`cat` and `cat ` stay two classes, and it is said."""
    manifest = open_table(table("path,label\na.jpg,cat\nb.jpg,cat \n"), DEFAULTS)
    assert "classes 'cat' and 'cat ' differ only in case or spaces" in manifest.notes


def test_a_table_that_cannot_be_read_is_a_storage_error(table: Table) -> None:
    """The system's refusal is not blamed on the table."""
    path = table("path\na.jpg\n")
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(StorageError):
        open_table(path, DEFAULTS)


def test_parquet_and_csv_of_one_table_are_one_manifest(table: Table, tmp_path: Path) -> None:
    """The format does not matter, but for places being rows."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"path": ["b.jpg", "a.jpg"], "label": [3, 12], "split": ["test", None]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "m.parquet")
    from_csv = open_table(table("path,label,split\nb.jpg,3,test\na.jpg,12,\n"), DEFAULTS)
    assert listing(open_table(tmp_path / "m.parquet", DEFAULTS)) == listing(from_csv)
    columns["path"] = ["a.jpg", "a.jpg"]
    parquet.write_table(pyarrow.table(columns), tmp_path / "m.parquet")
    with pytest.raises(SourceError, match=r"row 1 and row 2"):
        open_table(tmp_path / "m.parquet", DEFAULTS)


NAME = st.text(st.characters(codec="utf-8"), max_size=6).map(
    lambda text: unicodedata.normalize("NFC", text)
)
FILE = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8
).filter(lambda name: name not in {".", ".."})


@given(
    st.dictionaries(
        st.lists(FILE, min_size=1, max_size=3).map("/".join),
        st.tuples(NAME, st.sampled_from(SPLITS), NAME),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(",;\t"),
    st.permutations(["path", "label", "split", "group"]),
)
def test_any_table_reads_back(
    rows: dict[str, tuple[str, str, str]], delimiter: str, order: list[str]
) -> None:
    """Paths, labels, splits and groups come through a CSV file as they were."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "m.csv")
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, order, delimiter=delimiter)
            writer.writeheader()
            for name, (label, split, group) in {"m.csv": ("x", "", ""), **rows}.items():
                writer.writerow({"path": name, "label": label, "split": split, "group": group})
        # The table lists itself, so that one file exists.
        manifest = open_table(path, DEFAULTS)
    expected = [
        (name, label if label.strip() else "", split, group if group.strip() else "")
        for name, (label, split, group) in {"m.csv": ("x", "", ""), **rows}.items()
    ]
    assert listing(manifest) == expected


@given(
    st.lists(
        st.sampled_from(
            [
                *(b"path", b"label", b"split", b"group", b"m.csv", b"../", b"/", b".", b"train"),
                *(b",", b";", b"\t", b'"', b"\n", b"\r", b"\xff", b"\0", b"\xef\xbb\xbf", b"e\xcc"),
            ]
        ),
        max_size=30,
    ).map(b"".join)
)
def test_arbitrary_bytes_are_a_manifest_or_an_error(content: bytes) -> None:
    """Nothing but our own error comes out, and what is accepted keeps the invariants."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "m.csv")
        path.write_bytes(b"path,label\nm.csv,x\n" + content)
        try:
            manifest = open_table(path, DEFAULTS)
        except EmbedcacheError:
            return
    assert len(set(manifest.ids)) == len(manifest) == len(manifest.labels) == len(manifest.split)
    assert list(manifest.classes) == sorted(set(manifest.classes))
    assert manifest.labels.max() < len(manifest.classes)
