"""Refuse every file that is not exactly a cache file, before a byte of it is used.

The HDF5 library only tells where the tables lie. It never follows a link here,
never runs a filter, and never reads or allocates table data: shapes are
believed only where the file has the bytes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from embedcache.errors import CacheInvalidError, FormatVersionError
from embedcache.store.layout import (
    ALIGNMENT,
    FORMAT_VERSION,
    GROUPS,
    SUM_ATTRIBUTE,
    TABLES,
    VERSION_ATTRIBUTE,
)

__all__ = ["Extent", "FileMap", "invalid", "map_file"]


@dataclass(frozen=True)
class Extent:
    """Where a table's data lies.

    Attributes:
        offset: In bytes from the start of the file; 0 for a table without a byte.
        shape: As stored.
        dtype: As stored, little-endian.
    """

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Length in bytes."""
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize


@dataclass(frozen=True)
class FileMap:
    """A file that has the cache layout.

    Attributes:
        tables: Every table of `layout.TABLES` that the file has.
        total: The sum over `/meta` and `/checksums`.
    """

    tables: Mapping[str, Extent]
    total: int


def invalid(path: Path, what: str, *, got: object = None, expected: object = None) -> Exception:
    """The error for a file that must not be used."""
    return CacheInvalidError(
        what,
        where=path,
        got=got,
        expected=expected,
        hint="embedcache verify FILE tells what is damaged; embedcache extract --overwrite makes "
        "a new file from the images",
    )


def map_file(path: Path, descriptor: int) -> FileMap:
    """Find the tables of a cache file.

    Args:
        path: Its name, for messages only.
        descriptor: The file, open for reading; under its name may lie another one by now.

    Raises:
        CacheInvalidError: It is anything but a cache file.
        FormatVersionError: It was written by a newer embedcache.
    """
    import h5py

    try:
        with open(descriptor, "rb", buffering=0, closefd=False) as raw, h5py.File(raw, "r") as file:
            return _map_open_file(path, file, os.fstat(descriptor).st_size)
    # The library's own exceptions for damaged files; nothing else is caught.
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise invalid(path, "this is not a readable HDF5 file", got=error) from error


def _map_open_file(path: Path, file: Any, size: int) -> FileMap:
    import h5py

    total = _read_attributes(path, file)
    if file.userblock_size:
        raise invalid(path, "the file begins with a foreign block", got=file.userblock_size)
    members: dict[str, set[str]] = {group: set() for group in ["", *GROUPS]}
    present = _present(file)
    for name in [*present, *GROUPS]:
        parent, _, base = name.rpartition("/")
        members[parent].add(base)
    for group, expected in members.items():
        node = h5py.h5g.open(file.id, f"/{group}".encode())
        found = node.links
        if node.get_num_objs() != len(expected) or not all(
            found.exists(name.encode()) for name in expected
        ):
            raise invalid(path, f"/{group} holds other members than a cache does")
        if group and h5py.h5a.get_num_attrs(node):
            raise invalid(path, f"/{group} is annotated")
        for name in sorted(expected):
            # Soft and external links are refused by their type, without being followed.
            if found.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
                raise invalid(path, f"/{group}/{name} is a link to somewhere else")
    tables = {name: _read_extent(path, file, name, size) for name in present}
    _check_shapes(path, tables)
    return FileMap(tables, total)


def _present(file: Any) -> list[str]:
    """The tables that a file has to have, and those of the others that it seems to have."""
    import h5py

    root = h5py.h5g.open(file.id, b"/")  # its links do not outlive it
    return [
        name
        for name, spec in TABLES.items()
        if spec.is_required or root.links.exists(name.encode())
    ]


def _read_attributes(path: Path, file: Any) -> int:
    """The sum over `/meta` and `/checksums`, once the format version is known to be ours."""
    import h5py

    root = h5py.h5g.open(file.id, b"/")
    version = _read_attribute(path, root, VERSION_ATTRIBUTE, "<u4")
    if version > FORMAT_VERSION:
        raise FormatVersionError(
            "this cache was written by a newer embedcache",
            where=path,
            got=f"format {version}",
            expected=f"format {FORMAT_VERSION} or older",
            hint="pip install --upgrade embedcache",
        )
    if version != FORMAT_VERSION or h5py.h5a.get_num_attrs(root) != 2:
        raise invalid(path, "unknown format version or attributes", got=version)
    return _read_attribute(path, root, SUM_ATTRIBUTE, "<u8")


def _read_attribute(path: Path, root: Any, name: str, dtype: str) -> int:
    import h5py

    if not h5py.h5a.exists(root, name.encode()):
        raise invalid(path, "this HDF5 file is not an embedcache cache", expected=f"@{name}")
    attribute = h5py.h5a.open(root, name.encode())
    if attribute.dtype != np.dtype(dtype) or attribute.shape != ():
        raise invalid(path, f"attribute {name} has the wrong type", got=attribute.dtype)
    value = np.zeros((), dtype)
    attribute.read(value)
    return int(value)


def _read_extent(path: Path, file: Any, name: str, size: int) -> Extent:
    import h5py

    dataset = h5py.h5d.open(file.id, name.encode())
    creation = dataset.get_create_plist()
    if (
        creation.get_layout() != h5py.h5d.CONTIGUOUS
        or creation.get_external_count()
        or creation.get_nfilters()
        or h5py.h5a.get_num_attrs(dataset)
    ):
        raise invalid(path, f"/{name} is chunked, filtered, external, virtual or annotated")
    dtype = dataset.dtype
    spec = TABLES[name].form(dtype.str)
    # By dtype alone an enum, or a float with its bits elsewhere, would pass for a plain number.
    if spec is None or not dataset.get_type().equal(h5py.h5t.py_create(np.dtype(dtype.str))):
        raise invalid(
            path, f"/{name} has the wrong type", got=dtype, expected=TABLES[name].all_dtypes
        )
    extent = Extent(dataset.get_offset() or 0, dataset.shape, dtype)
    if len(extent.shape) != len(spec.shape):
        raise invalid(path, f"/{name} has the wrong shape", got=extent.shape, expected=spec.shape)
    # No side may exceed the file either, as an empty table could be 0 by 2^60.
    if max(extent.shape) > size or (
        extent.nbytes
        and (
            dataset.get_offset() is None
            or dataset.get_storage_size() != extent.nbytes
            or extent.offset % ALIGNMENT
            or extent.offset + extent.nbytes > size
        )
    ):
        raise invalid(
            path,
            f"/{name} claims more than the file holds",
            got=f"{extent.nbytes} bytes at {extent.offset}",
            expected=f"within {size} bytes",
        )
    return extent


def _check_shapes(path: Path, tables: Mapping[str, Extent]) -> None:
    rows, dim = tables["features"].shape
    rejects = tables["rejects/reason"].shape[0]
    classes = tables["classes/offsets"].shape[0] - 1
    sizes = {"N": rows, "D": dim, "K": classes, "R": rejects}
    sizes |= {"N+1": rows + 1, "R+1": rejects + 1}
    for name, extent in tables.items():
        spec = TABLES[name].form(extent.dtype.str)
        assert spec is not None, "types were checked before"
        for got, expected in zip(extent.shape, spec.shape, strict=True):
            wanted = sizes[expected] if isinstance(expected, str) else expected
            if wanted not in (-1, got):
                raise invalid(path, f"/{name} has the wrong length", got=got, expected=wanted)
