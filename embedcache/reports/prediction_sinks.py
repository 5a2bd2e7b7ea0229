"""Sinks: rows of predictions into CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import io
import json
import os
from typing import Any, BinaryIO, Protocol, TextIO

from embedcache.errors import MissingExtraError
from embedcache.reports.escape import printable
from embedcache.reports.prediction_layouts import Layout

__all__ = ["SEPARATOR", "CsvSink", "Sink", "open_sink", "require_pyarrow"]


SEPARATOR = "|"
"""Between the labels of a CSV cell, as `embedcache extract --label-separator` reads it: a cell
that holds nothing else says that none of them was answered."""


class Sink(Protocol):
    """Where rows go, each a dictionary of the layout's columns."""

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Add rows."""

    def close(self) -> None:
        """Write what is held back, and leave the file open."""


def require_pyarrow() -> None:
    """Refuse Parquet before any work where it cannot be written.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401  # asks only whether it is there
    except ImportError as error:
        raise MissingExtraError("pyarrow is needed to write Parquet", extra="parquet") from error


def open_sink(ending: str, file: BinaryIO, layout: Layout) -> Sink:
    """The sink for `.parquet`, `.jsonl` or `.csv`."""
    if ending == ".parquet":
        return _Parquet(file, layout)
    if ending == ".jsonl":
        return _JsonLines(file)
    text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")
    return CsvSink(text, layout, escape=False)


class CsvSink:
    """CSV with a header; for terminals with names made safe."""

    def __init__(self, text: TextIO, layout: Layout, *, escape: bool) -> None:
        self._text, self._escape = text, escape
        header = layout.header
        self._writer = csv.DictWriter(text, header, lineterminator="\n")
        self._writer.writerow({name: self._cell(name) for name in header})

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Add rows."""
        for row in rows:
            self._writer.writerow({key: self._cell(value) for key, value in row.items()})

    def _cell(self, value: Any) -> Any:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, list):
            value = SEPARATOR.join(value) or SEPARATOR
        return printable(value) if self._escape and isinstance(value, str) else value

    def close(self) -> None:
        """Flush, and leave the file open."""
        self._text.flush()
        if isinstance(self._text, io.TextIOWrapper):
            self._text.detach()


class _JsonLines:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, rows: list[dict[str, Any]]) -> None:
        self._file.writelines(json.dumps(row).encode() + b"\n" for row in rows)

    def close(self) -> None: ...


class _Parquet:
    _GROUP = 16_384  # rows of a row group

    def __init__(self, file: BinaryIO, layout: Layout) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = {
            "text": pa.string(),
            "flag": pa.bool_(),
            "number": pa.float64(),
            "texts": pa.list_(pa.string()),
        }
        self._schema = pa.schema(
            [(_decodable(name), kinds[layout.kind(name)]) for name in layout.header]
        )
        self._writer = pq.ParquetWriter(file, self._schema)
        self._rows: list[dict[str, Any]] = []

    def write(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            self._rows.append({_decodable(key): _decodable(value) for key, value in row.items()})
        if len(self._rows) >= self._GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []

    def close(self) -> None:
        self._flush()
        self._writer.close()


def _decodable(value: Any) -> Any:
    r"""Text as valid Unicode: an undecodable byte becomes `\xNN`."""
    if isinstance(value, list):
        return [_decodable(each) for each in value]
    if not isinstance(value, str):
        return value
    return os.fsencode(value).decode("utf-8", "backslashreplace")
