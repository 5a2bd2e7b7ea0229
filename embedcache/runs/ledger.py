"""The ledger of test openings: how many heads were judged on the same test rows.

The best of many heads on one test set looks better than it is, however honest each
of the scores; so the runs folder counts.
"""

from __future__ import annotations

import json
from pathlib import Path

from embedcache.errors import CacheInvalidError
from embedcache.records.json_text import parse_json
from embedcache.runs.files import read_regular
from embedcache.storage.locks import exclusive
from embedcache.storage.publish import write_atomic

__all__ = ["LEDGER", "next_gate", "record_gate", "record_opening"]

LEDGER = "ledger.json"

_FORMAT = 1
_LARGEST = 64 << 20
_GATE = "gate of "
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
    return len(_append(root, test_rows, opened_by))


def record_gate(root: Path, test_rows: str, change: str) -> int:
    """Note that a change was put to the gate on test rows, and say which gate it is there.

    A gate that was cut short and comes again with the same change keeps its number: what
    it will say is settled, so that it is no second chance.

    Args:
        root: The runs folder.
        test_rows: Digest of the test rows, hexadecimal.
        change: Digest of all that the change depends on, hexadecimal.

    Returns:
        The number of gates on these rows up to this one.

    Raises:
        CacheInvalidError: The ledger is damaged.
        LockedError: Another process held it for half a minute.
        StorageError: It cannot be written.
    """
    names = _append(root, test_rows, f"{_GATE}{change}", once=True)
    return _gates(names).index(f"{_GATE}{change}") + 1


def next_gate(root: Path, test_rows: str, change: str) -> int:
    """The number that `record_gate` would give, without a note.

    Raises:
        CacheInvalidError: The ledger is damaged.
    """
    gates = _gates(_read(root / LEDGER).get(test_rows, []))
    name = f"{_GATE}{change}"
    return (gates.index(name) if name in gates else len(gates)) + 1


def _gates(names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(_GATE)]


def _append(root: Path, test_rows: str, name: str, *, once: bool = False) -> list[str]:
    """The openings of these rows, the new one last; with `once` one of that name is enough."""
    path = root / LEDGER
    with exclusive(path.with_suffix(".lock"), wait=_WAIT):
        openings = _read(path)
        names = openings.setdefault(test_rows, [])
        if not (once and name in names):
            names.append(name)
            record = {"format": _FORMAT, "openings": openings}
            write_atomic(path, json.dumps(record, indent=1).encode() + b"\n")
    return names


def _read(path: Path) -> dict[str, list[str]]:
    if not path.exists() and not path.is_symlink():
        return {}
    data = read_regular(path, _LARGEST)
    try:
        match parse_json(data):
            case {"format": 1, "openings": dict(openings)} if all(
                isinstance(names, list) and all(isinstance(name, str) for name in names)
                for names in openings.values()
            ):
                return openings
    except ValueError:
        pass
    raise CacheInvalidError(
        "not a ledger of test openings",
        where=path,
        hint="move it away: the count then starts anew",
    )
