"""The two digests: SHA-256 says what a thing is, XXH3 says that it is undamaged."""

from __future__ import annotations

import hashlib

import numpy as np
import xxhash
from numpy.typing import NDArray

__all__ = ["DIGEST_BYTES", "block_sum", "sha256", "sha256_hex", "sum_of_nothing"]

DIGEST_BYTES = 32
"""Length of a SHA-256 digest."""


def sha256(data: bytes) -> bytes:
    """SHA-256, 32 bytes."""
    return hashlib.sha256(data).digest()


def sha256_hex(data: bytes) -> str:
    """SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def block_sum(table: str, index: int, data: NDArray[np.generic] | memoryview | bytes) -> int:
    """XXH3-64 of one block of a table, keyed by the table's name and the block's index.

    The key makes two equal-sized blocks that trade places, within a table or
    between tables, as visible as a flipped bit.
    """
    key = _key(table, index)
    if isinstance(data, np.ndarray):
        data = np.ascontiguousarray(data).reshape(-1).view(np.uint8).data
    return xxhash.xxh3_64_intdigest(data, seed=key)


def sum_of_nothing(table: str, index: int) -> xxhash.xxh3_64:
    """What becomes the `block_sum` of a block by being updated with its bytes."""
    return xxhash.xxh3_64(seed=_key(table, index))


def _key(table: str, index: int) -> int:
    return xxhash.xxh3_64_intdigest(f"{table}:{index}".encode())
