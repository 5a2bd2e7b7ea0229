"""A folder of images as a manifest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from embedcache.datasets.folder import open_folder
from embedcache.datasets.options import DEFAULTS, SourceOptions
from embedcache.errors import SourceError
from embedcache.records.manifest import SPLITS, Manifest

Tree = Callable[..., Path]


def labels(manifest: Manifest) -> dict[str, str | None]:
    """Class name by id."""
    return {
        item: manifest.classes.text(code) if code >= 0 else None
        for item, code in zip(manifest.ids.texts(), manifest.labels, strict=True)
    }


def splits(manifest: Manifest) -> dict[str, str]:
    """Name of the split by id."""
    return {
        item: SPLITS[code] for item, code in zip(manifest.ids.texts(), manifest.split, strict=True)
    }


def test_the_first_folder_level_is_the_class(tree: Tree) -> None:
    """Folders below it count to the class, however deep."""
    root = tree("animals/birds/owl.png", "animals/cat.png", "plants/trees/old/oak.png")
    manifest = open_folder(root, DEFAULTS)
    assert labels(manifest) == {
        "animals/birds/owl.png": "animals",
        "animals/cat.png": "animals",
        "plants/trees/old/oak.png": "plants",
    }
    assert manifest.root == str(root)
    assert manifest.path(0) == bytes(root / "animals/birds/owl.png")
    assert not manifest.split.any()
    assert (manifest.group == -1).all()
    assert len(manifest.groups) == 0
    assert (manifest.labels.dtype, manifest.split.dtype, manifest.group.dtype) == (
        "int32",
        "uint8",
        "int32",
    )


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("val", "val"),
        ("valid", "val"),
        ("validation", "val"),
        ("test", "test"),
        ("TEST", "test"),
    ],
)
def test_folders_named_like_splits_are_splits(tree: Tree, folder: str, split: str) -> None:
    """The class is then the second level, and one class has rows in several splits."""
    manifest = open_folder(
        tree(f"{folder}/cat/1.jpg", f"{folder}/dog/x/2.jpg", "train/cat/0.jpg"), DEFAULTS
    )
    assert splits(manifest)[f"{folder}/cat/1.jpg"] == split
    assert labels(manifest)[f"{folder}/dog/x/2.jpg"] == "dog"
    assert manifest.classes.texts() == ["cat", "dog"]


def test_one_split_beside_classes_is_a_class(tree: Tree) -> None:
    """`train` beside `car` is a vehicle, and a note says that it was read so."""
    manifest = open_folder(tree("train/1.jpg", "car/2.jpg"), DEFAULTS)
    assert labels(manifest) == {"train/1.jpg": "train", "car/2.jpg": "car"}
    assert not manifest.split.any()
    assert any("'train' is read as a class" in note for note in manifest.notes)


def test_several_splits_beside_other_folders_are_an_error(tree: Tree) -> None:
    """`train`, `test` and `extra` fit neither reading."""
    with pytest.raises(SourceError, match="'test', 'train' beside 'extra'"):
        open_folder(tree("train/c/1.jpg", "test/c/2.jpg", "extra/c/3.jpg"), DEFAULTS)


def test_folders_without_images_do_not_disturb_splits(tree: Tree) -> None:
    """Only folders that hold images are asked for their names."""
    manifest = open_folder(tree("train/c/1.jpg", "test/c/2.jpg", "annotations/a.xml"), DEFAULTS)
    assert sorted(splits(manifest).values()) == ["test", "train"]


def test_a_flat_folder_is_unlabelled(tree: Tree) -> None:
    """Without class folders there are no labels, and a note says so."""
    manifest = open_folder(tree("1.jpg", "2.jpg"), DEFAULTS)
    assert labels(manifest) == {"1.jpg": None, "2.jpg": None}
    assert len(manifest.classes) == 0
    assert "no class folders: the images are unlabelled" in manifest.notes


def test_images_beside_class_folders_are_unlabelled(tree: Tree) -> None:
    """A stray image in the root does not take the labels of the others."""
    manifest = open_folder(tree("overview.png", "cat/1.jpg", "dog/1.jpg"), DEFAULTS)
    assert labels(manifest) == {"overview.png": None, "cat/1.jpg": "cat", "dog/1.jpg": "dog"}
    assert "1 of 3 images lie outside of class folders: unlabelled" in manifest.notes


def test_an_unlabelled_test_split(tree: Tree) -> None:
    """Images directly in a split's folder have the split and no label."""
    manifest = open_folder(tree("train/cat/1.jpg", "train/dog/1.jpg", "test/7.jpg"), DEFAULTS)
    assert labels(manifest)["test/7.jpg"] is None
    assert splits(manifest)["test/7.jpg"] == "test"


def test_labels_can_be_refused_or_required(tree: Tree) -> None:
    """`none` drops labels and keeps splits; `folder` refuses images outside of class folders."""
    root = tree("train/cat/1.jpg", "test/dog/1.jpg", "stray.jpg")
    manifest = open_folder(root, SourceOptions(labels="none"))
    assert set(labels(manifest).values()) == {None}
    assert splits(manifest)["train/cat/1.jpg"] == "train"
    assert manifest.source.options == {"labels": "none"}
    with pytest.raises(SourceError, match=r"stray\.jpg") as caught:
        open_folder(root, SourceOptions(labels="folder"))
    assert caught.value.got == "1 of 3 images without a class"


def test_one_class_folder_gets_a_note(tree: Tree) -> None:
    """A wrapping folder that hides the classes is pointed out."""
    manifest = open_folder(tree("images/cat/1.jpg", "images/dog/1.jpg"), DEFAULTS)
    assert any("one class folder only, 'images'" in note for note in manifest.notes)


def test_classes_in_two_unicode_forms_are_an_error(tree: Tree) -> None:
    """Composed and decomposed é look the same and would be two classes."""
    names = ("caf\u00e9/1.jpg", "cafe\u0301/2.jpg")
    root = tree(*names)
    if len(list(root.iterdir())) < 2:
        pytest.skip("this file system takes both for one name")
    with pytest.raises(SourceError, match="Unicode form") as caught:
        open_folder(root, DEFAULTS)
    assert caught.value.got == r"'cafe\u0301' and 'caf\xe9'"


def test_classes_that_differ_in_case_get_a_note(tree: Tree) -> None:
    """`Cat` and `cat` stay two classes, and a note says so."""
    root = tree("Cat/1.jpg", "cat/2.jpg")
    if len(list(root.iterdir())) < 2:
        pytest.skip("this file system takes both for one name")
    manifest = open_folder(root, DEFAULTS)
    assert "classes 'Cat' and 'cat' differ only in case or spaces" in manifest.notes


def test_a_class_that_is_not_utf8_keeps_its_bytes(tree: Tree) -> None:
    """Class names are file-system bytes, like ids."""
    try:
        root = tree(b"caf\xe9/1.jpg")
    except OSError:
        pytest.skip("this file system refuses names that are not UTF-8")
    assert list(open_folder(root, DEFAULTS).classes) == [b"caf\xe9"]


@pytest.mark.parametrize("names", [(), ("notes.txt", "a/b.csv")])
def test_no_image_is_an_error_that_says_what_is_there(tree: Tree, names: tuple[str, ...]) -> None:
    """An empty source is refused, with what was found instead."""
    with pytest.raises(SourceError, match="no image in this folder") as caught:
        open_folder(tree(*names), DEFAULTS)
    assert caught.value.got == ("2 files ignored: .csv (1), .txt (1)" if names else "no file")


def test_opening_twice_gives_the_same(tree: Tree) -> None:
    """A manifest depends on the folder only."""
    root = tree(*(f"c{i % 3}/{i}.jpg" for i in range(20)))
    first, second = open_folder(root, DEFAULTS), open_folder(root, DEFAULTS)
    assert first.ids == second.ids
    assert first.labels.tolist() == second.labels.tolist()
    assert first.classes.texts() == sorted(first.classes.texts())
