"""Ids of a table's images."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcache.datasets.ids import IdMaker, absolute_path, check_some_exist
from embedcache.errors import SourceError

ROOT = Path("/data/set")


def maker(*, allow_outside: bool = False) -> IdMaker:
    return IdMaker(ROOT, allow_outside=allow_outside, place=lambda line: f"m.csv, line {line}")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.jpg", b"a.jpg"),
        ("./a//b/../c.jpg", b"a/c.jpg"),
        ("a/", b"a"),
        ("../set/a.jpg", b"a.jpg"),
        ("..a.jpg", b"..a.jpg"),
        ("/data/set/x/a.jpg", b"x/a.jpg"),
        ("//data/set/./a.jpg", b"a.jpg"),
        (" a.jpg ", b" a.jpg "),
        ("a\\b.jpg", b"a\\b.jpg"),
        ("ä.jpg", "ä.jpg".encode()),
    ],
)
def test_each_file_inside_the_root_has_one_spelling(path: str, expected: bytes) -> None:
    """Relative and absolute paths are normalised as text, relative to the root."""
    assert maker().id(path, 2) == expected
    assert maker(allow_outside=True).id(path, 2) == expected


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("../a.jpg", b"../a.jpg"),
        ("x/../../other/a.jpg", b"../other/a.jpg"),
        ("..", b".."),
        ("/data/settings/a.jpg", b"/data/settings/a.jpg"),
        ("//etc/passwd", b"/etc/passwd"),
    ],
)
def test_paths_out_of_the_root_must_be_allowed(path: str, allowed: bytes) -> None:
    """A path that climbs out is an error that names the line, unless it is allowed."""
    with pytest.raises(SourceError, match=r"m\.csv, line 7") as caught:
        maker().id(path, 7)
    assert "--allow-outside" in str(caught.value)
    assert maker(allow_outside=True).id(path, 7) == allowed


@pytest.mark.parametrize("path", ["", "a\0.jpg", ".", "x/..", "/data/set", "../set/"])
def test_paths_that_name_no_file_are_errors(path: str) -> None:
    """Empty paths, NUL and the root itself are refused, whatever is allowed."""
    with pytest.raises(SourceError, match=r"m\.csv, line 3"):
        maker(allow_outside=True).id(path, 3)


def test_the_root_may_be_spelt_with_its_links_resolved(tmp_path: Path) -> None:
    """An absolute path through the real place of a linked root is inside."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    ids = IdMaker(tmp_path / "link", allow_outside=False, place=str)
    real = os.path.realpath(tmp_path)
    assert ids.id(f"{real}/real/a.jpg", 1) == b"a.jpg"
    assert ids.id(f"{tmp_path}/link/a.jpg", 1) == b"a.jpg"


def test_links_in_paths_are_not_resolved(tmp_path: Path) -> None:
    """A link inside the root is a name like any other."""
    (tmp_path / "link.jpg").symlink_to("/elsewhere/a.jpg")
    ids = IdMaker(tmp_path, allow_outside=False, place=str)
    assert ids.id("link.jpg", 1) == b"link.jpg"


def test_the_root_may_be_the_root_of_the_file_system() -> None:
    """Everything is inside of `/`."""
    ids = IdMaker(Path("/"), allow_outside=False, place=str)
    assert ids.id("/a/b.jpg", 1) == b"a/b.jpg"
    assert ids.id("../b.jpg", 1) == b"b.jpg"


@given(st.text(st.characters(codec="utf-8"), max_size=30) | st.text("./a", max_size=12))
def test_an_id_never_leads_out_of_the_root(path: str) -> None:
    """Whatever the path: an error, or an id that stays inside and is normal."""
    try:
        item = os.fsdecode(maker().id(path, 1))
    except SourceError:
        return
    joined = posixpath.normpath(posixpath.join(str(ROOT), item))
    assert joined.startswith(f"{ROOT}/")
    assert posixpath.normpath(item) == item
    assert maker().id(item, 1) == os.fsencode(item)


def test_absolute_paths_keep_links_but_not_dots(tmp_path: Path) -> None:
    """A link stays a link; `link/..` is where the system would go, not where the text goes."""
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("far/deep")
    assert absolute_path(tmp_path / "link") == tmp_path / "link"
    assert absolute_path(tmp_path / "link" / ".." / "x") == tmp_path.resolve() / "far" / "x"
    assert absolute_path("x") == Path.cwd() / "x"


@pytest.mark.parametrize("path", ["", "a\0b", "../\0"])
def test_what_is_no_path_is_an_error(path: str) -> None:
    """An empty name is not the working folder, and NUL never reaches the system."""
    with pytest.raises(SourceError, match="no path"):
        absolute_path(path)


def test_one_image_that_exists_is_enough(tmp_path: Path) -> None:
    """Missing images are for extraction to reject, as long as the root seems right."""
    (tmp_path / "7.jpg").symlink_to("dead")
    check_some_exist(tmp_path, [b"%d.jpg" % i for i in range(90)], "m.csv")


def test_the_rows_looked_for_are_spread_over_the_table(tmp_path: Path) -> None:
    """A table whose first half is missing passes."""
    for i in range(500, 1000):
        (tmp_path / f"{i}.jpg").touch()
    check_some_exist(tmp_path, [b"%d.jpg" % i for i in range(1000)], "m.csv")


def test_a_wrong_root_is_an_error_with_an_example(tmp_path: Path) -> None:
    """If nothing is there, the message shows a whole path and the flag."""
    with pytest.raises(SourceError, match="none of the images is there") as caught:
        check_some_exist(tmp_path, [b"x/%d.jpg" % i for i in range(1000)], "m.csv")
    assert str(tmp_path / "x/0.jpg") in str(caught.value)
    assert "--root" in str(caught.value.hint)


def test_backslashes_are_pointed_out(tmp_path: Path) -> None:
    """A table from Windows names its folders in a way that leads nowhere here."""
    with pytest.raises(SourceError) as caught:
        check_some_exist(tmp_path, [b"x\\1.jpg"], "m.csv")
    assert caught.value.hint == "write / instead of \\ between folders"


def test_no_permission_is_not_a_wrong_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images that may be there, but cannot be looked at, are left to extraction."""

    def refuse(path: bytes) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "lstat", refuse)
    check_some_exist(tmp_path, [b"1.jpg"], "m.csv")
