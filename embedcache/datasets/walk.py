"""List the images below a folder: by suffix, in order of their bytes, each folder once."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from embedcache.errors import StorageError

__all__ = ["IMAGE_SUFFIXES", "Listing", "list_images"]

IMAGE_SUFFIXES = frozenset(
    b".jpg .jpeg .jpe .jfif .png .gif .webp .bmp .dib .tif .tiff .ppm .pgm .pbm .pnm .tga"
    b" .avif .jp2 .j2k .jxl .heic .heif".split()
)
"""Suffixes of pictures made of pixels, also those that may lack a decoder: they
become rejects with a reason instead of vanishing. Drawings (.svg) and documents
(.pdf) are no samples; they are counted among the ignored files."""

_IGNORED_NAMES = frozenset({b"__macosx", b"thumbs.db", b"desktop.ini", b"@eadir", b"lost+found"})
"""Lower-case names that systems leave behind, beside everything hidden; `@eaDir` holds a
NAS's thumbnails, which would double every picture, and only root may list `lost+found`."""

_NAMED = 3
"""Names or suffixes that a note mentions before it says that there are more."""


@dataclass
class Listing:
    """What lies below a folder.

    Attributes:
        ids: Relative paths of the images, `/` separators, sorted.
        ignored: Number of other files by suffix.
        repeated: Folders left out because they were listed already, as behind a looping link.
        dead: Links that lead nowhere and are not named like images.
    """

    ids: list[bytes] = field(default_factory=list)
    ignored: Counter[bytes] = field(default_factory=Counter)
    repeated: list[bytes] = field(default_factory=list)
    dead: list[bytes] = field(default_factory=list)

    def notes(self) -> list[str]:
        """What was left out, in words."""
        notes = []
        if self.ignored:
            # By count, then by name, so that a note does not depend on the order on disk.
            common = sorted(self.ignored.items(), key=lambda item: (-item[1], item[0]))
            shown = [f"{_shown(suffix) or 'no suffix'} ({count})" for suffix, count in common]
            notes.append(f"{_count(self.ignored.total(), 'file')} ignored: {_some(shown)}")
        if self.repeated:
            shown = [repr(os.fsdecode(name)) for name in sorted(self.repeated)]
            what = _count(len(self.repeated), "folder")
            notes.append(f"{what} left out, listed already under another name: {_some(shown)}")
        if self.dead:
            shown = [repr(os.fsdecode(name)) for name in sorted(self.dead)]
            notes.append(f"{_count(len(self.dead), 'link')} to nowhere ignored: {_some(shown)}")
        return notes


def _shown(name: bytes) -> str:
    return repr(os.fsdecode(name))[1:-1]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _some(items: Sequence[str]) -> str:
    return ", ".join([*items[:_NAMED], "…"] if len(items) > _NAMED else items)


def list_images(root: Path) -> Listing:
    """The images below `root`, an absolute folder.

    Links to folders are followed, but never to a folder that was listed already
    or that holds the root: folders proper come first, so that a link never
    takes the place of what it leads to. Whether a file is a regular one, or readable, is
    for extraction to say.

    Raises:
        StorageError: A folder cannot be listed; leaving it out would shrink the data set.
    """
    listing = Listing()
    base = os.fsencode(root)
    starts = [b""]
    try:
        seen = {_inode(parent) for parent in root.resolve().parents}
        while starts:
            links: list[bytes] = []
            for start in sorted(starts):
                _list_tree(base, start, seen, listing, links)
            starts = links
    except OSError as error:
        raise StorageError(
            "this folder cannot be listed",
            where=os.fsdecode(error.filename or base),
            got=error.strerror,
            hint="change its permissions, or move it out of the data set",
        ) from error
    listing.ids.sort()
    return listing


def _inode(path: bytes | Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _list_tree(
    base: bytes,
    start: bytes,
    seen: set[tuple[int, int]],
    listing: Listing,
    links: list[bytes],
) -> None:
    """Add what lies below `base/start` to `listing`, and links to folders to `links`."""
    pending = [start]
    while pending:
        folder = pending.pop()
        path = os.path.join(base, folder)
        inode = _inode(path)
        # Folders proper cannot loop, and some file systems give many of them one inode number.
        if start and inode in seen:
            listing.repeated.append(folder)
            continue
        seen.add(inode)
        prefix = folder + b"/" if folder else b""
        with os.scandir(path) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith(b".") or name.lower() in _IGNORED_NAMES:
                    continue
                suffix = os.path.splitext(name)[1].lower()
                if entry.is_dir(follow_symlinks=False):
                    pending.append(prefix + name)
                elif entry.is_symlink() and _leads_to_folder(entry, suffix):
                    links.append(prefix + name)
                elif suffix in IMAGE_SUFFIXES:
                    listing.ids.append(prefix + name)
                elif entry.is_symlink() and not os.path.exists(entry.path):
                    listing.dead.append(prefix + name)
                else:
                    listing.ignored[suffix] += 1


def _leads_to_folder(link: os.DirEntry[bytes], suffix: bytes) -> bool:
    try:
        return link.is_dir()
    except OSError as error:
        if suffix in IMAGE_SUFFIXES or error.errno == errno.ELOOP:
            return False
        raise
