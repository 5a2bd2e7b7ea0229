"""The two root folders, of caches and of runs: where the environment or an option puts them."""

from __future__ import annotations

from pathlib import Path

from embedcache.errors import UsageError

__all__ = ["root_folder"]


def root_folder(path: Path, what: str) -> Path:
    """A root that is a folder, or not there yet.

    Args:
        path: Absolute.
        what: What lies in it, and what points to it, for the message.

    Raises:
        UsageError: Something else stands there, which would look like an empty root.
    """
    if path.exists() and not path.is_dir():
        raise UsageError(
            f"a file stands where the folder of {what} should be",
            where=path,
            expected="a folder, or a path where one can be made",
        )
    return path
