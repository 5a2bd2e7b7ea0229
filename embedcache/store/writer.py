"""Write a cache file: lay it out, stream the features through, publish it atomically.

N is the number of rows, D the embedding dimension.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedcache.storage.digests import block_sum
from embedcache.storage.publish import check_free_space, publishing, storage_errors, write_at
from embedcache.store.contents import CacheMeta, RowTables
from embedcache.store.layout import RECORD, TABLES, build_skeleton, rows_per_block

__all__ = ["content_digest", "write_cache"]


def content_digest(sums: NDArray[np.uint64]) -> str:
    """SHA-256, hexadecimal, over the block sums of features and tables, (M,) uint64."""
    return hashlib.sha256(sums.astype("<u8").tobytes()).hexdigest()


def write_cache(
    target: Path,
    tables: RowTables,
    meta: CacheMeta,
    features: Iterable[NDArray[np.floating]],
) -> None:
    """Publish a cache file under `target`, whole or not at all.

    Memory holds one block of features at a time.

    Args:
        target: Path of the file, in an existing folder.
        tables: The N rows, but for their features.
        meta: The record; rows, block size and content digest are filled in here.
        features: Consecutive blocks of rows, (·, D), of the identity's stored dtype, N in all.

    Raises:
        StorageError: The disk is full or the folder not writable; nothing is left behind.
    """
    count, dim = len(tables), meta.backbone.dim
    dtype = np.dtype("<f2" if meta.backbone.identity.stored_dtype == "float16" else "<f4")
    block_rows = rows_per_block(dim * dtype.itemsize)
    block_count = -(-count // block_rows)
    arrays = tables.arrays()
    named = [path for path in TABLES if path in arrays]
    # The length of the JSON does not depend on the digest, so a placeholder lays it out.
    meta = meta.with_layout(count, block_rows, meta.content)
    arrays["meta"] = np.frombuffer(meta.to_bytes(), np.uint8)
    arrays["checksums"] = np.zeros(block_count + len(named), "<u8")
    shapes = {path: (array.shape, array.dtype) for path, array in arrays.items()}
    shapes["features"] = ((count, dim), dtype)

    skeleton = build_skeleton(shapes, 0)
    check_free_space(target.parent, skeleton.size)
    with (
        publishing(target, needed=skeleton.size) as descriptor,
        storage_errors(target, needed=skeleton.size),
    ):
        _allocate(descriptor, skeleton.size)
        sums = []
        position = skeleton.offsets.get("features", 0)
        for index, block in enumerate(_regroup(features, block_rows, (count, dim), dtype)):
            sums.append(block_sum("features", index, block))
            _write_array(descriptor, block, position)
            position += block.nbytes
        sums += [block_sum(path, 0, arrays[path]) for path in named]
        checksums = np.array(sums, "<u8")
        final = meta.with_layout(count, block_rows, content_digest(checksums)).to_bytes()
        arrays["meta"], arrays["checksums"] = np.frombuffer(final, np.uint8), checksums
        for path in (*named, "meta", "checksums"):
            if path in skeleton.offsets:
                _write_array(descriptor, arrays[path], skeleton.offsets[path])
        total = block_sum(RECORD, 0, final + checksums.tobytes())
        for offset, chunk in build_skeleton(shapes, total).extents:
            write_at(descriptor, chunk, offset)


def _allocate(descriptor: int, size: int) -> None:
    # Reserving the space first turns a full disk into an error before any work is done.
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)


def _write_array(descriptor: int, array: NDArray[np.generic], offset: int) -> None:
    write_at(descriptor, np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, offset)


def _regroup(
    blocks: Iterable[NDArray[np.floating]],
    block_rows: int,
    shape: tuple[int, int],
    dtype: np.dtype[np.floating],
) -> Iterator[NDArray[np.floating]]:
    """Cut consecutive blocks of any size into blocks of `block_rows` rows."""
    buffer = np.empty((block_rows, shape[1]), dtype)
    filled = total = 0
    for block in blocks:
        if block.dtype != dtype or block.shape[1:] != shape[1:]:
            raise ValueError(f"got a block {block.dtype}{block.shape}, expected {dtype}{shape}")
        taken = 0
        while taken < len(block):
            take = min(block_rows - filled, len(block) - taken)
            buffer[filled : filled + take] = block[taken : taken + take]
            filled, taken = filled + take, taken + take
            if filled == block_rows:
                yield buffer
                filled = 0
        total += taken
    if filled:
        yield buffer[:filled]
    if total != shape[0]:
        raise ValueError(f"{total} rows of features for {shape[0]} rows of tables")
