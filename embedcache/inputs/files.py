"""Read a file's bytes once, from regular files only, and say why when that fails."""

from __future__ import annotations

import errno
import os
import stat

from embedcache.errors import InputRejectedError

__all__ = ["MAX_FILE_BYTES", "read_regular"]

MAX_FILE_BYTES = 256 * 2**20
"""Larger files are refused: eight workers of them would fill a laptop's memory."""

_REASONS = {
    errno.ENOENT: "MISSING",
    errno.ENOTDIR: "MISSING",
    errno.ENAMETOOLONG: "MISSING",
    errno.EACCES: "PERMISSION",
    errno.EPERM: "PERMISSION",
    errno.ELOOP: "LINK_LOOP",
}

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


def read_regular(path: bytes | str) -> bytes:
    """All bytes of a regular file; links to one are followed.

    Raises:
        InputRejectedError: It is missing, not a regular file, above `MAX_FILE_BYTES`,
            not readable, or it changed while it was read.
    """
    where = os.fsdecode(path)
    try:
        _check(os.stat(path), where)
        # The FIFO that replaces the file after `stat` must not block the open for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            before = os.fstat(descriptor)
            _check(before, where)
            data = _read(descriptor, before.st_size)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _rejection(error, path, where) from error
    except ValueError as error:  # a null byte in the name, which no file can have
        raise InputRejectedError("MISSING", str(error), where=where) from error
    if _version(before) != _version(after) or len(data) != after.st_size:
        detail = f"{before.st_size} bytes when opened, {after.st_size} after, {len(data)} read"
        raise InputRejectedError("CHANGED_WHILE_READ", detail, where=where)
    return data


def _check(status: os.stat_result, where: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "not a regular file")
        raise InputRejectedError("NOT_A_REGULAR_FILE", kind, where=where)
    if status.st_size > MAX_FILE_BYTES:
        detail = f"{status.st_size} bytes, at most {MAX_FILE_BYTES} are read"
        raise InputRejectedError("TOO_LARGE", detail, where=where)


def _read(descriptor: int, size: int) -> bytes:
    """Up to `size` + 1 bytes: one more than expected shows that the file grew."""
    parts = []
    left = size + 1
    while left > 0 and (part := os.read(descriptor, left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _version(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _rejection(error: OSError, path: bytes | str, where: str) -> InputRejectedError:
    reason = _REASONS.get(error.errno or 0, "READ_ERROR")
    detail = error.strerror or str(error)
    if reason == "MISSING" and os.path.islink(path):
        detail = f"a link to nowhere: {detail}"
    return InputRejectedError(reason, detail, where=where)
