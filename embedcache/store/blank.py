"""Blank tables in the place of damaged ones that an extraction reads from the source anyway.

N is the number of rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcache.records.strings import Strings
from embedcache.store.contents import RowTables

__all__ = ["with_blanks"]

_TOGETHER = (
    {"ids/data", "ids/offsets"},
    {"labels", "classes/data", "classes/offsets"},
    {"split"},
    {"group", "groups/data", "groups/offsets"},
    {"seen"},
)
"""What the source or the backbone says of rows, beside `rejects/…`: tables that say one thing."""


def with_blanks(
    arrays: Mapping[str, NDArray[Any]], damaged: Collection[str]
) -> dict[str, NDArray[Any]] | None:
    """The tables, those that are damaged blank: no names, labels, splits, groups, or rejects.

    Rows keep the digest of their image and how they were computed, so that their features can
    be used again. `None` where these are damaged too.
    """
    rejects = {name for name in arrays if name.startswith("rejects/")}
    blank, mixed, left = _blank_tables(arrays).arrays(), dict(arrays), set(damaged)
    for family in (*_TOGETHER, rejects):
        if left & family:
            left -= family
            for name in family & mixed.keys():
                del mixed[name]
            mixed |= {name: blank[name] for name in family & blank.keys()}
    return None if left else mixed


def _blank_tables(arrays: Mapping[str, NDArray[Any]]) -> RowTables:
    """Tables of N rows of which nothing is known but what may not be blank."""
    n, none = len(arrays["sha256"]), Strings.of([])
    return RowTables(
        ids=Strings(none.data, np.zeros(n + 1, np.int64)),
        sha256=arrays["sha256"],
        labels=np.full(n, -1, np.int32),
        classes=none,
        split=np.zeros(n, np.uint8),
        group=np.full(n, -1, np.int32),
        groups=none,
        numerics=arrays["numerics"],
        rejects=(),
    )
