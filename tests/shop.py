"""Where tests of the command line work."""

from __future__ import annotations

from pathlib import Path

SMALL = ("--image-size", "32")
"""Flags for a real backbone that is done with a picture in a millisecond."""

BACKBONE = {"backbone": "bundled/efficientnet_lite0", "image_size": 32}
"""The same from Python."""


class Shop:
    """A working folder with `photos/`, `cache/` and `runs/`.

    Args:
        folder: The working folder.
        photos: Pictures that lie elsewhere.
    """

    def __init__(self, folder: Path, photos: Path | None = None) -> None:
        self.folder = folder
        self.photos = photos or folder / "photos"
        self.cache_dir = folder / "cache"
        self.runs_dir = folder / "runs"

    @property
    def cache(self) -> Path:
        """The one cache."""
        (path,) = self.cache_dir.glob("*/*.h5")
        return path

    @property
    def run(self) -> Path:
        """The first run."""
        (path,) = self.runs_dir.glob("*-1")
        return path
