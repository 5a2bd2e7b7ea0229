"""Cache files as no writer of ours makes them: cloned with a change, or flipped here and there."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from embedcache.store.cache import FeatureCache
from embedcache.store.layout import ALIGNMENT, GROUPS, TABLES


@contextlib.contextmanager
def clone(source: Path, target: Path, **properties: Any) -> Iterator[h5py.File]:
    """Copy a cache file with h5py's own means, and hand the copy out for changes."""
    properties = {"alignment_threshold": 1, "alignment_interval": ALIGNMENT} | properties
    with h5py.File(source) as original, h5py.File(target, "w", **properties) as copy:
        for group in GROUPS:
            copy.create_group(group)
        for name in filter(original.__contains__, TABLES):
            copy.create_dataset(name, data=original[name][...])
        for name, value in original.attrs.items():
            copy.attrs.create(name, value)
        yield copy


def replaced(path: Path) -> Path:
    """The path, with a copy in the file's place: who has the file open keeps the old one."""
    copy = path.with_name("copy")
    shutil.copy(path, copy)
    return copy.replace(path)


def flip(path: Path, offset: int, mask: int = 1) -> None:
    """Change bits of one byte, in place."""
    with open(path, "r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ mask]))


def flip_feature(path: Path, row: int) -> None:
    """Change one bit in the features of `row`, in place."""
    with h5py.File(path) as file:
        features = file["features"]
        offset = features.id.get_offset() + row * features.shape[1] * features.dtype.itemsize
    flip(path, offset)


def flip_table(path: Path, name: str, part: float, mask: int = 1) -> None:
    """Change bits of a byte of a table, in place: the first byte at `part` 0, the last at 1."""
    with h5py.File(path) as file:
        start, size = file[name].id.get_offset(), file[name].nbytes
    flip(path, start + int(part * (size - 1)), mask)


def overwrite_table(path: Path, name: str) -> None:
    """Change every byte of a table, in place."""
    with h5py.File(path) as file:
        start, size = file[name].id.get_offset(), file[name].nbytes
    for at in range(size):
        flip(path, start + at, 0xA5)


def everything(cache: FeatureCache) -> dict[str, NDArray[Any] | object]:
    """A copy of all that a cache hands out."""
    arrays = {name: array.copy() for name, array in cache.tables.arrays().items()}
    return {**arrays, "features": cache.X.copy(), "meta": cache.meta}


def is_same(mine: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Whether two caches hand out the same, bit by bit."""
    return mine["meta"] == theirs["meta"] and all(
        mine[name].dtype == theirs[name].dtype
        and mine[name].shape == theirs[name].shape
        and mine[name].tobytes() == theirs[name].tobytes()
        for name in mine
        if name != "meta"
    )


Change = Callable[[h5py.File, Path], None]
"""A change to a cloned file; the path is a folder for what lies outside of it."""


def replace(name: str, **how: Any) -> Change:
    """Write a table again with the same values, but otherwise than caches do."""

    def change(file: h5py.File, _: Path) -> None:
        data = file[name][...]
        del file[name]
        file.create_dataset(name, **({"data": data} | how))

    return change


def retype(name: str, make_type: Callable[[], h5py.h5t.TypeID]) -> Change:
    """Write a table's bytes again under an HDF5 type that NumPy cannot tell from the right one."""

    def change(file: h5py.File, _: Path) -> None:
        data = file[name][...]
        del file[name]
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        space = h5py.h5s.create_simple(data.shape)
        made = h5py.h5d.create(file.id, name.encode(), make_type(), space, dcpl=creation)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ascontiguousarray(data), mtype=made.get_type())

    return change
