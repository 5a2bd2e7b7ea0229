"""Atomic publication: a file appears whole under its name, or not at all.

Everything is written to a unique temporary name in the target's own folder,
synced, renamed over the target, and the folder is synced, so that a kill or a
power loss leaves either the old file or the new one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from embedcache.errors import StorageError

__all__ = [
    "TEMPORARY_MARK",
    "check_free_space",
    "create_temporary",
    "fsync_dir",
    "has_dead_writer",
    "human_bytes",
    "is_temporary",
    "make_dir",
    "publish",
    "publishing",
    "storage_errors",
    "temporary_path",
    "write_at",
    "write_atomic",
]

TEMPORARY_MARK = ".tmp-"
"""Every temporary name is `.NAME.tmp-PID-RANDOM`: hidden, and its writer known."""

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def human_bytes(count: float) -> str:
    """A number of bytes in words, decimal units: `1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


@contextlib.contextmanager
def storage_errors(path: Path | str, *, needed: int | None = None) -> Iterator[None]:
    """Turn an `OSError` of the system into a `StorageError` that names `path`.

    Args:
        path: The file being written or read.
        needed: Bytes that were to be written, for the message of a full disk.
    """
    try:
        yield
    except OSError as error:
        raise _as_storage_error(error, Path(path), needed) from error


def _as_storage_error(error: OSError, path: Path, needed: int | None) -> StorageError:
    if error.errno in _NO_SPACE:
        free = _free_bytes(path.parent)
        return StorageError(
            "no space left for this file"
            if error.errno != errno.EFBIG
            else "a limit on file sizes forbids writing this file",
            where=path,
            got=None if free is None else f"{human_bytes(free)} free",
            expected=None if needed is None else f"{human_bytes(needed)} needed",
            hint="make room and run the same command again; nothing was lost",
        )
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return StorageError(
            "this place is not writable or not readable",
            where=path,
            got=os.strerror(error.errno),
            hint="change its permissions, or choose another place with --cache-dir or --runs-dir",
        )
    return StorageError("the system refused a file operation", where=path, got=error)


def _free_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def check_free_space(folder: Path, needed: int) -> None:
    """Refuse early when `needed` bytes do not fit into `folder`.

    Raises:
        StorageError: Too little space is free.
    """
    free = _free_bytes(folder)
    if free is not None and free < needed:
        raise StorageError(
            "not enough free space",
            where=folder,
            got=f"{human_bytes(free)} free",
            expected=f"{human_bytes(needed)} needed",
            hint="make room, or choose another disk with --cache-dir",
        )


def make_dir(path: Path) -> None:
    """Create a folder and its parents.

    Raises:
        StorageError: It cannot be created, or is not writable.
    """
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    if not os.access(path, os.W_OK | os.X_OK):
        raise StorageError(
            "this folder is not writable",
            where=path,
            hint="change its permissions, or choose another place with --cache-dir or --runs-dir",
        )


def temporary_path(target: Path) -> Path:
    """A fresh temporary name beside `target`, in the same folder and file system."""
    # Long names leave no room for the mark: file systems allow 255 bytes.
    stem = os.fsdecode(os.fsencode(target.name)[:160])
    return target.with_name(f".{stem}{TEMPORARY_MARK}{os.getpid()}-{secrets.token_hex(6)}")


def is_temporary(path: Path) -> bool:
    """Whether the name was made by `temporary_path`."""
    return path.name.startswith(".") and TEMPORARY_MARK in path.name


def has_dead_writer(path: Path) -> bool:
    """Whether a temporary file's name says that its process, of this machine, is gone."""
    if not is_temporary(path):
        return False
    pid = path.name.rpartition(TEMPORARY_MARK)[2].partition("-")[0]
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (ValueError, OverflowError, PermissionError):
        return False
    return False


def create_temporary(target: Path) -> tuple[int, Path]:
    """Open a new temporary file for writing, refusing any file or link already there.

    Returns:
        An open file descriptor, which the caller closes, and the file's path.

    Raises:
        StorageError: There is no such folder, or it is not writable.
    """
    path = temporary_path(target)
    if not target.parent.is_dir():
        raise StorageError(
            "there is no such folder",
            where=target.parent,
            hint=f"create it, or choose another place for {target.name}",
        )
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with storage_errors(path):
        return os.open(path, flags, 0o644), path


def publish(temporary: Path, target: Path) -> None:
    """Rename a synced temporary file to its target and make the rename durable."""
    with storage_errors(target):
        os.replace(temporary, target)
    fsync_dir(target.parent)


def fsync_dir(path: Path) -> None:
    """Make renames and deletions in a folder survive a power loss."""
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def publishing(target: Path, *, needed: int | None = None) -> Iterator[int]:
    """A descriptor to write to: when the block ends well its content is `target`'s.

    Args:
        target: What is replaced, whole or not at all.
        needed: Bytes that will be written, for the message of a full disk.

    Raises:
        StorageError: The disk is full or the folder is not writable.
    """
    descriptor, temporary = create_temporary(target)
    try:
        yield descriptor
        with storage_errors(target, needed=needed):
            os.fsync(descriptor)
        publish(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def write_at(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of `data` at an offset in bytes: the system may take it in parts."""
    left = memoryview(data)
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written


def write_atomic(path: Path, data: bytes) -> None:
    """Publish `data` under `path`, replacing what was there.

    Raises:
        StorageError: The disk is full or the folder is not writable.
    """
    size = len(data)
    with publishing(path, needed=size) as descriptor, storage_errors(path, needed=size):
        write_at(descriptor, data, 0)
