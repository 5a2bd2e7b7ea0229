"""Reading the files of a run that may come from anybody."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from embedcache.errors import CacheInvalidError
from embedcache.storage.publish import storage_errors

__all__ = ["read_regular"]


def read_regular(path: Path, limit: int) -> bytes:
    """A file's bytes, if it is a regular file of at most `limit` bytes.

    Links are not followed, a FIFO is not waited for, and nothing is read before
    the size is known.

    Raises:
        CacheInvalidError: It is missing, not a regular file, or too large.
        StorageError: The system refuses to read it.
    """
    if path.is_symlink():
        raise CacheInvalidError("a link stands where a file of the run should be", where=path)
    if not path.exists():
        raise CacheInvalidError("a file of the run is missing", where=path)
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return _read(descriptor, path, limit)
        finally:
            os.close(descriptor)


def _read(descriptor: int, path: Path, limit: int) -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise CacheInvalidError("not a regular file", where=path)
    if status.st_size > limit:
        raise CacheInvalidError(
            "a file of the run has the wrong size",
            where=path,
            got=f"{status.st_size} bytes",
            expected=f"at most {limit} bytes",
        )
    with open(descriptor, "rb", closefd=False) as file:
        return file.read(status.st_size)
