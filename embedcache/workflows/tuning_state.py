"""Read what an unfinished training has settled so far, from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from embedcache.errors import CacheInvalidError
from embedcache.heads.json_records import load_record
from embedcache.runs.files import read_regular

__all__ = ["load_state"]

_Record = TypeVar("_Record")

_LARGEST = 16 << 20


def load_state(kind: type[_Record], path: Path) -> _Record:
    """A record of the folder.

    Raises:
        CacheInvalidError: It is damaged.
    """
    try:
        return load_record(kind, read_regular(path, _LARGEST))
    except ValueError as error:
        raise CacheInvalidError(
            "the state of an unfinished training is damaged",
            where=path,
            got=error,
            hint="delete its folder: the training then starts anew",
        ) from error
