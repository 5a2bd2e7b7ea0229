"""Flip a bit of a table back that was flipped since: the table's sum tells which it was.

A sum of 64 bits fits one table that differs from the file's by a bit. That any other of the
eight million bits of a megabyte makes it fit as well has a chance of one in 10^12.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcache.storage.digests import block_sum, sum_of_nothing
from embedcache.store.layout import RECORD, summed_tables

__all__ = ["LARGEST", "flip_bits_back"]

LARGEST = 1 << 20
"""Bytes of damaged tables that are searched: the digests of 32,768 rows. The time grows with the
square of it; 256 KiB took 10.6 s."""


def flip_bits_back(arrays: Mapping[str, NDArray[Any]], total: int) -> tuple[int, tuple[str, ...]]:
    """Put tables right, in place, that one flipped bit each has damaged.

    Tables that this cannot mend stay as they are.

    Args:
        arrays: All tables by their paths, writable.
        total: The sum over `/meta` and `/checksums`.

    Returns:
        The sum as it should be, and the names of what was mended.
    """
    meta, sums = arrays["meta"], arrays["checksums"]
    record, mended = np.concatenate([meta, sums.view(np.uint8)]), []
    found = block_sum(RECORD, 0, record)
    if found != total:
        # The flipped bit may be one of the sum itself.
        if (found ^ total).bit_count() == 1:
            total = found
        elif not _flip_back(RECORD, record, total):
            return total, ()
        meta[:], sums.view(np.uint8)[:] = record[: len(meta)], record[len(meta) :]
        mended.append(RECORD)
    names = summed_tables(arrays)
    wanted = dict(zip(names, sums[-len(names) :].tolist(), strict=False))
    damaged = [name for name in wanted if block_sum(name, 0, arrays[name]) != wanted[name]]
    if sum(arrays[name].nbytes for name in damaged) <= LARGEST:
        mended += [name for name in damaged if _flip_back(name, arrays[name], wanted[name])]
    return total, tuple(mended)


def _flip_back(name: str, array: NDArray[Any], wanted: int) -> bool:
    """Flip the one bit that gives the array this sum; `False` if none does."""
    data = array.reshape(-1).view(np.uint8).data
    before = sum_of_nothing(name, 0)
    for at in range(len(data) if len(data) <= LARGEST else 0):
        for bit in range(8):
            data[at] ^= 1 << bit
            whole = before.copy()
            whole.update(data[at:])
            if whole.intdigest() == wanted:
                return True
            data[at] ^= 1 << bit
        before.update(data[at : at + 1])
    return False
