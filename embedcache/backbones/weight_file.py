"""`WeightFile`: a weight file in the state in which it was read."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FileState", "WeightFile", "file_state"]

FileState = tuple[int, int, int, int, int]
"""Device, inode, size, mtime and ctime in nanoseconds."""

_SETTLED_NS = 2_000_000_000
"""A file younger than this may be written again without a visible change of its times."""


@dataclass(frozen=True)
class WeightFile:
    """A weight file, looked at just before it was read.

    Attributes:
        path: Absolute.
        state: The file's state then.
        seen_ns: Time of that look, nanoseconds since the epoch.
    """

    path: Path
    state: FileState
    seen_ns: int

    @classmethod
    def look(cls, path: Path) -> WeightFile:
        """The file as it is now.

        Raises:
            OSError: It cannot be found.
        """
        return cls(path.absolute(), file_state(path), time.time_ns())

    @property
    def is_settled(self) -> bool:
        """Whether a later write is sure to show in the file's state."""
        return all(self.seen_ns - written >= _SETTLED_NS for written in self.state[-2:])


def file_state(path: Path) -> FileState:
    """A file's state; links are followed.

    Raises:
        OSError: It cannot be found.
    """
    status = os.stat(path)
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
