"""Open a `.npy` file of features that comes from anybody, mapped, without pickle.

N is the number of rows, D the embedding dimension.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from tokenize import TokenError

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import FeatureOverflowError, SourceError
from embedcache.storage.publish import storage_errors

__all__ = ["file_sha256", "finite_rows", "map_features", "stored_blocks"]

_BLOCK_BYTES = 4 << 20

_REFUSALS = (ValueError, TypeError, SyntaxError, TokenError, OverflowError, EOFError, MemoryError)
"""What numpy raises on foreign, cut or hostile headers, and on arrays of objects."""


def map_features(path: Path) -> NDArray[np.floating]:
    """The features, (N, D) float16, float32 or float64, mapped read-only.

    Raises:
        SourceError: No such file, or anything but a whole table of floats in numpy's format.
        StorageError: The system refuses to read it.
    """
    if not path.exists():
        raise SourceError("there is no such file of features", where=path)
    with storage_errors(path):
        if not stat.S_ISREG(os.stat(path).st_mode):  # a FIFO would be waited for
            raise SourceError("not a regular file", where=path)
        try:
            array = np.lib.format.open_memmap(path, mode="r")
        except _REFUSALS as error:
            raise SourceError(
                "this is not a whole .npy file of numbers",
                where=path,
                got=str(error).partition("\n")[0][:200],
                expected="an array as numpy.save writes it",
            ) from error
    if array.dtype.kind != "f" or array.dtype.itemsize > 8 or array.ndim != 2 or 0 in array.shape:
        raise SourceError(
            "these are not features",
            where=path,
            got=f"{array.dtype} of shape {array.shape}",
            expected="float16, float32 or float64 of shape (rows, dimension)",
        )
    return array


def finite_rows(
    features: NDArray[np.floating], stored_dtype: str, where: Path
) -> NDArray[np.bool_]:
    """Which rows have no NaN and no infinity, (N,).

    Raises:
        FeatureOverflowError: A feature is finite, but does not fit into the stored type.
    """
    limit = float(np.finfo(stored_dtype).max)
    finite = np.zeros(len(features), bool)
    for rows in _blocks(features):
        block = np.asarray(features[rows])
        finite[rows] = np.isfinite(block).all(axis=1)
        largest = np.where(finite[rows], np.abs(block).max(axis=1), 0)
        if (largest > limit).any():
            row = int(np.argmax(largest > limit))
            raise FeatureOverflowError(
                f"a feature does not fit into {stored_dtype}",
                where=f"{where}, row {rows.start + row}",
                got=f"{largest[row]:.4g}",
                expected=f"at most {limit:.4g}",
                hint="run the same command with --store-dtype float32"
                if stored_dtype == "float16"
                else None,
            )
    return finite


def stored_blocks(
    features: NDArray[np.floating], keep: NDArray[np.bool_], stored_dtype: str
) -> Iterator[NDArray[np.floating]]:
    """The rows to keep, (N,), in the type that is stored, block by block, (·, D)."""
    for rows in _blocks(features):
        yield features[rows][keep[rows]].astype(stored_dtype)


def _blocks(features: NDArray[np.floating]) -> Iterator[slice]:
    size = max(1, _BLOCK_BYTES // (features.shape[1] * features.dtype.itemsize))
    for start in range(0, len(features), size):
        yield slice(start, min(start + size, len(features)))


def file_sha256(path: Path) -> str:
    """SHA-256, hexadecimal, of a whole file.

    Raises:
        StorageError: It cannot be read.
    """
    with storage_errors(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
