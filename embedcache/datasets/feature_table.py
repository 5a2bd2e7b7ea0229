"""`read_feature_table`: what is known of rows of features, from a CSV or Parquet table.

N is the number of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedcache.datasets.codes import SPLIT_NAMES, Coder, lookalikes, split_code
from embedcache.datasets.columns import Rows, find_column
from embedcache.datasets.ids import absolute_path
from embedcache.datasets.table import READERS, TABLE_SUFFIXES
from embedcache.datasets.table_errors import table_errors
from embedcache.errors import SourceError
from embedcache.records.manifest import NO_CODE
from embedcache.records.strings import Strings
from embedcache.storage.digests import DIGEST_BYTES, sha256

__all__ = ["FeatureTable", "FeatureTableOptions", "numbered_rows", "read_feature_table"]


@dataclass(frozen=True)
class FeatureTableOptions:
    """Names of columns; `None`: by their usual names, empty: none. No digests unless named."""

    id_column: str | None = None
    label_column: str | None = None
    split_column: str | None = None
    group_column: str | None = None
    digest_column: str | None = None

    def to_record(self) -> dict[str, str]:
        """What differs from the defaults."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """One entry for each row of features, in their order.

    Attributes:
        ids: N ids, unique.
        digests: (N, 32) uint8: of the images where a column says so, else of the ids;
            `None` where there is neither.
        labels: (N,) int32 codes into `classes`, −1 for unlabelled.
        classes: K names, sorted.
        split: (N,) uint8 codes into `records.manifest.SPLITS`.
        group: (N,) int32 codes into `groups`, −1 for none.
        groups: Names of the groups.
        notes: What a person should know.
    """

    ids: Strings
    digests: NDArray[np.uint8] | None
    labels: NDArray[np.int32]
    classes: Strings
    split: NDArray[np.uint8]
    group: NDArray[np.int32]
    groups: Strings
    notes: tuple[str, ...]


class _Columns(NamedTuple):
    id: int | None
    label: int | None
    split: int | None
    group: int | None
    digest: int | None


def numbered_rows(count: int) -> FeatureTable:
    """The table of unlabelled rows, whose ids are their numbers, from 0."""
    none, no_names = np.full(count, NO_CODE, np.int32), Strings.of([])
    return FeatureTable(
        ids=Strings.of(map(str, range(count))),
        digests=None,
        labels=none,
        classes=no_names,
        split=np.zeros(count, np.uint8),
        group=none,
        groups=no_names,
        notes=("the rows are unlabelled (--labels FILE)",),
    )


def read_feature_table(location: Path, count: int, options: FeatureTableOptions) -> FeatureTable:
    """Read a table with a header and one line for each row of features.

    Args:
        location: A CSV or Parquet file.
        count: N.
        options: Which columns.

    Raises:
        SourceError: It is malformed, lacks a column that was named, has another number of
            rows, an id twice, an unknown split, or a digest that is none. The line is named.
        StorageError: It cannot be read.
        MissingExtraError: It is a Parquet file and pyarrow is not installed.
    """
    path = absolute_path(location)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise SourceError("unknown kind of table", where=path, expected=", ".join(TABLE_SUFFIXES))
    with table_errors(path), reader(path) as rows:
        return _read(rows, count, options)


def _read(rows: Rows, count: int, options: FeatureTableOptions) -> FeatureTable:
    columns = _Columns(
        find_column(rows, "id", options.id_column),
        find_column(rows, "label", options.label_column),
        find_column(rows, "split", options.split_column),
        find_column(rows, "group", options.group_column),
        find_column(rows, "digest", options.digest_column or ""),
    )
    labels, groups = Coder("label", rows.place), Coder("group", rows.place)
    places: dict[str, int] = {}
    split, digests = bytearray(), bytearray()
    number = 0
    for place, (id_, label, split_name, group, digest) in rows.select(columns):
        name = id_ if columns.id is not None else str(number)
        if not name or name in places:
            raise _unusable_id(name, rows, places.get(name), place)
        places[name] = place
        labels.add(label if label.strip() else None, place)
        groups.add(group if group.strip() else None, place)
        split.append(_split(split_name, rows, place))
        if columns.digest is not None:
            digests += _digest(digest, rows, place)
        elif columns.id is not None:
            digests += sha256(name.encode())
        number += 1
    if number != count:
        raise SourceError(
            "the table has another number of rows than the features",
            where=rows.location,
            got=f"{number:,} rows",
            expected=f"{count:,}, one for each row of features, in their order",
        )
    label_codes, classes = labels.finish()
    group_codes, group_names = groups.finish()
    return FeatureTable(
        Strings.of(places),
        np.frombuffer(bytes(digests), np.uint8).reshape(-1, DIGEST_BYTES) if digests else None,
        label_codes,
        classes,
        np.frombuffer(bytes(split), np.uint8),
        group_codes,
        group_names,
        (_columns_note(rows, columns), *lookalikes(classes)),
    )


def _unusable_id(name: str, rows: Rows, first: int | None, place: int) -> SourceError:
    if first is None:
        return SourceError("a row without an id", where=rows.place(place))
    return SourceError(
        "the same id twice",
        where=f"{rows.place(first)} and {rows.unit} {place}",
        got=repr(name),
        expected="one row for each id",
        hint="--id-column '' numbers the rows instead",
    )


def _split(name: str, rows: Rows, place: int) -> int:
    code = split_code(name)
    if code is None:
        raise SourceError(
            "an unknown split",
            where=rows.place(place),
            got=repr(name),
            expected=", ".join(SPLIT_NAMES),
            hint="name the column of the splits with --split-column, or '' for none",
        )
    return code


def _digest(text: str, rows: Rows, place: int) -> bytes:
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != DIGEST_BYTES:
        raise SourceError(
            "this is not a SHA-256",
            where=rows.place(place),
            got=repr(text),
            expected=f"{2 * DIGEST_BYTES} hexadecimal digits",
        )
    return digest


def _columns_note(rows: Rows, columns: Sequence[int | None]) -> str:
    read = [
        f"{role} from {rows.header[index]!r}"
        for role, index in zip(_Columns._fields, columns, strict=True)
        if index is not None
    ]
    return f"columns read: {', '.join(read) or 'none'}"
