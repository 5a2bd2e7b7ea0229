"""Open a table (CSV or Parquet) as a manifest, its rows in their order.

N is the number of rows.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from embedcache.datasets.codes import SPLIT_NAMES, Coder, lookalikes, split_code
from embedcache.datasets.columns import Columns, Rows, choose_columns
from embedcache.datasets.csv_rows import open_csv
from embedcache.datasets.ids import IdMaker, absolute_path, check_some_exist
from embedcache.datasets.label_cells import LabelCells, Marks, label_cells
from embedcache.datasets.options import SourceOptions
from embedcache.datasets.parquet_rows import open_parquet
from embedcache.datasets.table_errors import table_errors
from embedcache.errors import SourceError
from embedcache.records.manifest import Manifest, SourceRecord
from embedcache.records.strings import Strings

__all__ = ["READERS", "TABLE_SUFFIXES", "open_table"]

READERS: dict[str, Callable[[Path], AbstractContextManager[Rows]]] = {
    ".csv": open_csv,
    ".tsv": open_csv,
    ".txt": open_csv,
    ".parquet": open_parquet,
    ".pq": open_parquet,
}
"""What opens a table, by its suffix in lower case."""

TABLE_SUFFIXES = tuple(READERS)
"""Suffixes of files that are read as tables, in any case."""


def open_table(location: Path, options: SourceOptions) -> Manifest:
    """The images that a table lists, row by row.

    Labels and groups are kept exactly as they are written; a blank cell is
    none. Images that do not exist are samples all the same, for extraction to
    reject, unless none of up to 100 exists.

    Args:
        location: Absolute path of the table, its suffix one of `TABLE_SUFFIXES`.
        options: How to read it.

    Raises:
        SourceError: The table has no rows, is malformed, lacks a column, or a
            row has no path, a path out of the root, a path that came before or
            an unknown split. The line is named.
        StorageError: It cannot be read.
        MissingExtraError: It is a Parquet file and pyarrow is not installed.
    """
    root = location.parent if options.root is None else absolute_path(options.root)
    if not root.is_dir():
        raise SourceError("the root is not a folder", where=root, hint="--root FOLDER")
    with table_errors(location), READERS[location.suffix.lower()](location) as rows:
        return _read(rows, root, options)


def _read(rows: Rows, root: Path, options: SourceOptions) -> Manifest:
    columns = choose_columns(rows, options)
    maker = IdMaker(root, allow_outside=options.allow_outside, place=rows.place)
    labels = label_cells(rows, options, columns.label)
    groups = Coder("group", rows.place)
    ids: list[bytes] = []
    places, split = array("q"), bytearray()
    wanted = (columns.path, columns.split, columns.group, *labels.columns)
    for place, (path, split_name, group, *cells) in rows.select(wanted):
        ids.append(maker.id(path, place))
        places.append(place)
        labels.add(cells, place)
        groups.add(group if group.strip() else None, place)
        code = split_code(split_name)
        if code is None:
            raise _unknown_split(split_name, rows.place(place))
        split.append(code)
    if not ids:
        raise SourceError(
            "this table has a header and no rows", where=rows.location, expected="one row per image"
        )
    if len(set(ids)) < len(ids):
        raise _duplicate(ids, places, rows)
    check_some_exist(root, ids, rows.location)
    codes, classes = labels.finish()
    group_codes, group_names = groups.finish()
    return Manifest(
        SourceRecord("table", str(rows.location), options.to_record()),
        str(root),
        Strings.of(ids),
        codes,
        classes,
        np.frombuffer(bytes(split), np.uint8),
        group_codes,
        group_names,
        (*_column_notes(rows, columns, labels, options), *lookalikes(classes)),
    )


def _unknown_split(name: str, place: str) -> SourceError:
    return SourceError(
        "an unknown split",
        where=place,
        got=repr(name),
        expected=", ".join(SPLIT_NAMES),
        hint="name the column of the splits with --split-column, or '' for none",
    )


def _duplicate(ids: Sequence[bytes], places: Sequence[int], rows: Rows) -> SourceError:
    first: dict[bytes, int] = {}
    for item, place in zip(ids, places, strict=True):
        if first.setdefault(item, place) != place:
            break
    return SourceError(
        "the same path twice",
        where=f"{rows.place(first[item])} and {rows.unit} {place}",
        got=repr(os.fsdecode(item)),
        expected="one row per image",
        hint="remove one of the rows",
    )


def _column_notes(
    rows: Rows, columns: Columns, labels: LabelCells, options: SourceOptions
) -> list[str]:
    read = [
        f"{role} from {rows.header[index]!r}"
        for role, index in columns._asdict().items()
        if index is not None
    ]
    if isinstance(labels, Marks):
        read.append(f"labels from {len(labels.columns):,} columns")
    notes = [f"columns read: {', '.join(read)}"]
    if columns.label is None and options.labels == "auto" and options.label_column is None:
        notes.append("no column of labels: the images are unlabelled (--label-column NAME)")
    return notes
