"""One writer at a time: a lock that names its holder.

Locks only save work. Caches stay correct without them, as on network mounts
that ignore them: publication is atomic, and a lost race costs recomputation.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from embedcache.errors import LockedError
from embedcache.records.json_text import parse_json
from embedcache.storage.publish import make_dir, storage_errors, write_atomic

__all__ = ["exclusive"]

_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}


@contextlib.contextmanager
def exclusive(path: Path, wait: float = 0) -> Iterator[None]:
    """Hold the lock file `path`; the system frees it when the process dies.

    Where the file system knows no locks, as on some network mounts, all go ahead.

    Args:
        path: The lock file.
        wait: Seconds to wait for who holds it.

    Raises:
        LockedError: Another process holds it; the error names that process.
        StorageError: The disk is full or the folder not writable.
    """
    make_dir(path.parent)
    holder_path = path.with_name(path.name + ".holder")
    lock = FileLock(path)
    with storage_errors(path):
        try:
            lock.acquire(timeout=wait)
        except Timeout as error:
            raise LockedError(
                "another process is writing this cache",
                where=path,
                got=_holder(holder_path),
                hint="wait for it to end and run the same command again",
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
    try:
        who = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_atomic(holder_path, json.dumps(who).encode())
        yield
    finally:
        holder_path.unlink(missing_ok=True)
        lock.release()


def _holder(path: Path) -> str:
    try:
        who = parse_json(path.read_bytes())
        return f"process {who['pid']:d} on {who['host']!s}, since {who['since']!s}"
    except (OSError, ValueError, KeyError, TypeError):
        return "an unknown process"
