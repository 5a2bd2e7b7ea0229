"""Listing the images below a folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from embedcache.datasets import walk
from embedcache.datasets.walk import IMAGE_SUFFIXES, list_images
from embedcache.errors import StorageError

Tree = Callable[..., Path]


def test_images_are_sorted_by_the_bytes_of_their_paths(tree: Tree) -> None:
    """The order is that of whole paths as bytes, whatever the order on disk."""
    names = ["b/2.jpg", "a/1.jpg", "a.jpg", "a-b/1.png", "a/b/3.gif", "Z.jpg", "é.jpg"]
    listing = list_images(tree(*names))
    assert listing.ids == sorted(name.encode() for name in names)


def test_suffixes_count_in_any_case(tree: Tree) -> None:
    """`.JPG` and `.Tiff` are images as well."""
    assert list_images(tree("a.JPG", "b.Tiff")).ids == [b"a.JPG", b"b.Tiff"]


def test_formats_without_decoder_are_listed(tree: Tree) -> None:
    """Photographs that may lack a decoder are samples, so that they become rejects."""
    assert list_images(tree("a.heic", "b.avif", "c.jxl")).ids == [b"a.heic", b"b.avif", b"c.jxl"]
    assert b".svg" not in IMAGE_SUFFIXES


def test_other_files_are_counted_by_suffix(tree: Tree) -> None:
    """What is left out is said, the most frequent suffix first."""
    root = tree("a.jpg", "x.csv", "1.txt", "2.TXT", "README", "no\x1b.\x1b[31m")
    assert list_images(root).notes() == [
        "5 files ignored: .txt (2), no suffix (1), .\\x1b[31m (1), …"
    ]


@pytest.mark.parametrize(
    "name",
    [
        ".DS_Store",
        "._1.jpg",
        ".hidden.jpg",
        ".ipynb_checkpoints/1.jpg",
        "__MACOSX/1.jpg",
        "Thumbs.db",
        "cat/.thumbs/1.jpg",
        "cat/@eaDir/1.jpg",
    ],
)
def test_droppings_of_systems_are_passed_over(tree: Tree, name: str) -> None:
    """Hidden files and what systems leave behind are neither samples nor worth a note."""
    listing = list_images(tree("cat/1.jpg", name))
    assert listing.ids == [b"cat/1.jpg"]
    assert listing.notes() == []


def test_a_hidden_root_is_read(tree: Tree) -> None:
    """Only names below the root are judged, so a root such as `.cache/x` works."""
    assert list_images(tree(".cache/x/1.jpg") / ".cache" / "x").ids == [b"1.jpg"]


@pytest.mark.parametrize(
    "name", [b"a b.jpg", b"new\nline.jpg", b"'\".jpg", b"\xff\xfe.jpg", b"\x1b[0m.jpg"]
)
def test_any_name_is_kept_as_its_bytes(tree: Tree, name: bytes) -> None:
    """Spaces, line ends, quotes and bytes that are not UTF-8 come through."""
    try:
        root = tree(b"c\xe9/" + name)
    except OSError:
        pytest.skip("this file system refuses names that are not UTF-8")
    assert list_images(root).ids == [b"c\xe9/" + name]


def test_a_loop_multiplies_nothing(tree: Tree) -> None:
    """A link to a folder above it is not entered, and said."""
    root = tree("a/1.jpg", "a/2.jpg", "b/3.jpg")
    (root / "a" / "loop").symlink_to("..")
    (root / "b" / "self").symlink_to(".")
    listing = list_images(root)
    assert listing.ids == [b"a/1.jpg", b"a/2.jpg", b"b/3.jpg"]
    assert listing.notes() == [
        "2 folders left out, listed already under another name: 'a/loop', 'b/self'"
    ]


def test_a_link_to_a_folder_above_the_root_is_not_entered(tree: Tree) -> None:
    """A link out of the root to something that holds it would list the root once more."""
    root = tree("top/a/1.jpg", "elsewhere.jpg") / "top"
    (root / "up").symlink_to("../..")
    assert list_images(root).ids == [b"a/1.jpg"]


def test_folders_proper_win_over_links_to_them(tree: Tree) -> None:
    """A link that sorts before its target does not take the target's samples."""
    root = tree("dog/1.jpg")
    (root / "a").symlink_to("dog")
    assert list_images(root).ids == [b"dog/1.jpg"]


def test_linked_folders_are_followed_once(tree: Tree) -> None:
    """Folders elsewhere are read through the first of the links to them."""
    root = tree("data/own/1.jpg", "store/x/2.jpg", "store/x/y/3.jpg") / "data"
    (root / "cat").symlink_to("../store/x")
    (root / "dog").symlink_to("../store/x")
    (root / "inner").symlink_to("../store/x/y")
    listing = list_images(root)
    assert listing.ids == [b"cat/2.jpg", b"cat/y/3.jpg", b"own/1.jpg"]
    assert sorted(listing.repeated) == [b"dog", b"inner"]


def test_links_to_files_and_dead_or_looping_links_are_listed(tree: Tree) -> None:
    """A link that is named like an image is a sample; extraction says what is wrong with it."""
    root = tree("1.jpg")
    (root / "2.jpg").symlink_to("1.jpg")
    (root / "3.jpg").symlink_to("nowhere.jpg")
    (root / "4.jpg").symlink_to("4.jpg")
    assert list_images(root).ids == [b"1.jpg", b"2.jpg", b"3.jpg", b"4.jpg"]


def test_file_systems_without_inode_numbers_lose_nothing(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders proper are listed even where all of them claim to be the same one."""
    root = tree("a/1.jpg", "b/c/2.jpg")
    monkeypatch.setattr(walk, "_inode", lambda _: (0, 0))
    assert list_images(root).ids == [b"a/1.jpg", b"b/c/2.jpg"]


def test_a_link_that_cannot_be_followed_is_an_error_unless_named_like_an_image(tree: Tree) -> None:
    """It may lead to a whole class, so it is not passed over; an image is extraction's affair."""
    root = tree("1.jpg")
    (root / "2.jpg").symlink_to("x" * 300)
    assert list_images(root).ids == [b"1.jpg", b"2.jpg"]
    (root / "cat").symlink_to("x" * 300)
    with pytest.raises(StorageError, match="cat"):
        list_images(root)


def test_a_dead_link_to_a_folder_is_said(tree: Tree) -> None:
    """A class folder on a disk that is not mounted does not vanish without a word."""
    root = tree("1.jpg")
    (root / "cat").symlink_to("/nowhere/cat")
    (root / "loop").symlink_to("loop")
    assert list_images(root).notes() == ["2 links to nowhere ignored: 'cat', 'loop'"]


def test_special_files_and_folders_named_like_images(tree: Tree) -> None:
    """A FIFO is listed without being opened, for extraction to reject; a folder is entered."""
    root = tree("dir.jpg/1.jpg")
    os.mkfifo(root / "pipe.jpg")
    assert list_images(root).ids == [b"dir.jpg/1.jpg", b"pipe.jpg"]


def test_a_folder_that_cannot_be_listed_is_an_error(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sub-folder without permission stops, and is named, instead of shrinking the data set."""
    root = tree("cat/1.jpg", "secret/2.jpg")
    scandir = os.scandir

    def guarded(path: bytes) -> object:
        # Tests may run as root, whom no permission stops.
        if path.endswith(b"secret"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(StorageError, match="secret") as caught:
        list_images(root)
    assert caught.value.got == "Permission denied"


def test_a_path_too_long_to_be_listed_is_an_error(tmp_path: Path) -> None:
    """Folders nested beyond the system's longest path are an error, not a smaller data set."""
    handles = [os.open(tmp_path, os.O_RDONLY)]
    try:
        for _ in range(20):
            os.mkdir("x" * 250, dir_fd=handles[-1])
            handles.append(os.open("x" * 250, os.O_RDONLY, dir_fd=handles[-1]))
        with pytest.raises(StorageError, match="cannot be listed"):
            list_images(tmp_path)
    finally:
        handles.pop()
        while handles:
            os.rmdir("x" * 250, dir_fd=handles[-1])
            os.close(handles.pop())
