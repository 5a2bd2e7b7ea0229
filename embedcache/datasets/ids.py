"""Ids of a table's images: paths relative to the root, one spelling for each."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from embedcache.errors import SourceError

__all__ = ["IdMaker", "absolute_path", "check_some_exist"]

_LOOKED_AT = 100
"""Rows that are looked for on the disk: enough to tell a wrong root from a few lost images."""


def absolute_path(path: Path | str) -> Path:
    """The absolute path, with links kept, so that a link may later lead elsewhere.

    Only where `..` occurs are links resolved, because dropping `link/..` as
    text would lead to another place.

    Raises:
        SourceError: The path is empty or holds a NUL.
    """
    if not os.fspath(path) or "\0" in os.fspath(path):
        raise SourceError("this is no path", got=repr(os.fspath(path)))
    path = Path(path)
    # Path.resolve raises on looping links until Python 3.13.
    return Path(os.path.realpath(path)) if ".." in path.parts else path.absolute()


class IdMaker:
    """Turns paths as a table gives them into ids.

    Paths are normalised as text (`a//b`, `./a`, `a/../b`); links are not
    resolved, as a link is a name like any other. An absolute path inside the
    root becomes relative to it. Outside of it, where that is allowed, a
    relative path keeps its `..` and an absolute one stays absolute.

    Args:
        root: Absolute folder that ids are relative to.
        allow_outside: Whether ids may lead out of the root.
        place: Names the place of a line number, for messages.
    """

    def __init__(self, root: Path, *, allow_outside: bool, place: Callable[[int], str]) -> None:
        self._root = os.fsencode(root)
        # Tables made by another tool may spell the same root with its links resolved.
        self._prefixes = tuple(
            folder.rstrip(b"/") + b"/" for folder in (self._root, os.path.realpath(self._root))
        )
        self._allow_outside = allow_outside
        self._place = place

    def id(self, text: str, line: int) -> bytes:
        """The id of the path `text`, found on `line`.

        Raises:
            SourceError: The path is empty, names the root itself or leads out of it.
        """
        if not text or "\0" in text:
            raise SourceError(
                "a row without a usable path",
                where=self._place(line),
                got=repr(text),
                expected="the path of an image",
            )
        path = os.path.normpath(os.fsencode(text))
        if path.startswith((b"/", b"..")):
            path = self._relative(path)
        if path == b".":
            raise SourceError(
                "a path that names the root folder itself",
                where=self._place(line),
                got=repr(text),
                expected="the path of an image",
            )
        if not self._allow_outside and (path.startswith((b"/", b"../")) or path == b".."):
            raise SourceError(
                "a path that leads out of the root",
                where=self._place(line),
                got=repr(text),
                expected=f"a path inside {os.fsdecode(self._root)}",
                hint="--root FOLDER, one that holds all images; or --allow-outside",
            )
        return path

    def _relative(self, path: bytes) -> bytes:
        """A normalised path, relative to the root if it leads into it, else as it is."""
        absolute = os.path.normpath(os.path.join(self._root, path))
        absolute = b"/" + absolute.lstrip(b"/")  # POSIX lets exactly two slashes stand
        for prefix in self._prefixes:
            if absolute + b"/" == prefix:
                return b"."
            if absolute.startswith(prefix):
                return absolute[len(prefix) :]
        return absolute if path.startswith(b"/") else path


def check_some_exist(root: Path, ids: Sequence[bytes], where: object) -> None:
    """Refuse a table of which no image is there, as under a wrong root.

    Single missing images are no error: extraction names them.

    Raises:
        SourceError: Of up to 100 rows spread over the table not one exists.
    """
    sample = ids[:: -(-len(ids) // _LOOKED_AT)]
    base = os.fsencode(root)
    if any(_may_exist(os.path.join(base, item)) for item in sample):
        return
    backslash = all(b"\\" in item for item in sample)
    raise SourceError(
        "none of the images is there",
        where=where,
        got=f"no file {os.path.join(os.fsdecode(base), os.fsdecode(sample[0]))!r}",
        expected=f"paths relative to {root}",
        hint="write / instead of \\ between folders"
        if backslash
        else "--root FOLDER, the one that the paths start from",
    )


def _may_exist(path: bytes) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # no permission and the like: not a matter of a wrong root
    return True
