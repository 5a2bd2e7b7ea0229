"""The ledger of test openings: how many heads were judged on the same test rows.

The best of many heads on one test set looks better than it is, however honest each
of the scores; so the runs folder counts.
"""

from __future__ import annotations

import json
from pathlib import Path

from embedcache.errors import CacheInvalidError
from embedcache.runs.files import read_regular
from embedcache.storage.locks import exclusive
from embedcache.storage.publish import write_atomic

__all__ = ["LEDGER", "record_opening"]

LEDGER = "ledger.json"

_FORMAT = 1
_LARGEST = 64 << 20
_WAIT = 30.0  # seconds: who holds the lock writes one small file


def record_opening(root: Path, test_rows: str, opened_by: str) -> int:
    """Note that a head was judged on test rows, and count how many were before and now.

    It is noted before the run is published: rows that were looked at were looked at,
    even if the disk is full a moment later.

    Args:
        root: The runs folder.
        test_rows: Digest of the test rows, hexadecimal.
        opened_by: What was judged, for people.

    Returns:
        The number of openings of these rows, this one included.

    Raises:
        CacheInvalidError: The ledger is damaged.
        LockedError: Another process held it for half a minute.
        StorageError: It cannot be written.
    """
    path = root / LEDGER
    with exclusive(path.with_suffix(".lock"), wait=_WAIT):
        openings = _read(path)
        openings.setdefault(test_rows, []).append(opened_by)
        record = {"format": _FORMAT, "openings": openings}
        write_atomic(path, json.dumps(record, indent=1).encode() + b"\n")
    return len(openings[test_rows])


def _read(path: Path) -> dict[str, list[str]]:
    if not path.exists() and not path.is_symlink():
        return {}
    data = read_regular(path, _LARGEST)
    try:
        match json.loads(data):
            case {"format": 1, "openings": dict(openings)} if all(
                isinstance(names, list) and all(isinstance(name, str) for name in names)
                for names in openings.values()
            ):
                return openings
    except (ValueError, RecursionError):
        pass
    raise CacheInvalidError(
        "not a ledger of test openings",
        where=path,
        hint="move it away: the count then starts anew",
    )
