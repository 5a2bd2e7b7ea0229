"""Damaged rows whose images are gone or have changed: find them, name them, leave them out.

N is the number of rows of a cache.
"""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import CacheInvalidError, InputRejectedError
from embedcache.inputs.files import read_regular
from embedcache.storage.digests import sha256
from embedcache.store.cache import FeatureCache
from embedcache.store.contents import RowTables

__all__ = ["image_of", "lost_rows", "names_of", "rows_are_lost", "tables_of"]

_SHOWN = 10
"""Names in a message; more would bury what to do next."""


def image_of(cache: FeatureCache, row: int) -> bytes | None:
    """The bytes that a row was made from, if they are still there."""
    path = os.path.join(os.fsencode(cache.meta.root), cache.ids[row])
    try:
        data = read_regular(path)
    except InputRejectedError:
        return None
    return data if sha256(data) == cache.sha256[row].tobytes() else None


def lost_rows(cache: FeatureCache, damaged: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the damaged rows, (M,), that cannot be embedded again, (L,)."""
    lost = [row for row in map(int, damaged) if image_of(cache, row) is None]
    return np.array(lost, np.int64)


def rows_are_lost(
    cache: FeatureCache, lost: NDArray[np.int64], damaged: NDArray[np.int64]
) -> CacheInvalidError:
    """The error that names the lost rows."""
    names = names_of(cache, lost)
    more = f", and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return CacheInvalidError(
        f"{len(lost):,} of {len(damaged):,} damaged rows are lost: "
        "their images are gone or have changed",
        where=cache.path,
        got=", ".join(names[:_SHOWN]) + more,
        expected=f"the images as they were, in {cache.meta.root}",
        hint="bring them back and repair again; or go on without these rows: "
        f"embedcache verify --repair --drop-lost {cache.path}",
    )


def names_of(cache: FeatureCache, rows: NDArray[np.int64]) -> tuple[str, ...]:
    """Ids of rows, (L,)."""
    return tuple(cache.ids.text(int(row)) for row in rows)


def tables_of(tables: RowTables, rows: NDArray[np.int64]) -> RowTables:
    """The tables of some rows, (M,), in that order; names and rejects stay."""
    return replace(
        tables,
        ids=tables.ids.take(rows),
        sha256=tables.sha256[rows],
        labels=tables.labels[rows],
        split=tables.split[rows],
        group=tables.group[rows],
        numerics=tables.numerics[rows],
        seen=None if tables.seen is None else tables.seen[rows],
    )
