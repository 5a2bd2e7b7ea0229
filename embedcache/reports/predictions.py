"""Predictions as CSV, JSON lines or Parquet: one row for each input, the rejected ones too.

Columns: `id`, `label_1`, `probability_1`, …, `label_k`, `probability_k`, `error`.
N is the number of inputs of a batch, K the number of classes.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TextIO

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import MissingExtraError, UsageError
from embedcache.reports.escape import printable
from embedcache.storage.publish import create_temporary, publish, storage_errors

__all__ = ["PredictionWriter", "prediction_writer"]

FORMATS = (".csv", ".jsonl", ".parquet")


class _Sink(Protocol):
    def write(self, rows: list[dict[str, Any]]) -> None: ...

    def close(self) -> None: ...


class PredictionWriter:
    """Takes predictions batch by batch.

    Args:
        sink: Where rows go.
        output: The file behind it, for messages; None for a stream.
        classes: K names.
        top: How many classes each row names.
    """

    def __init__(self, sink: _Sink, output: Path | None, classes: Sequence[str], top: int) -> None:
        self._sink, self._output, self._classes, self._top = sink, output, classes, top

    def write(self, ids: Sequence[bytes], probabilities: NDArray[np.float64]) -> None:
        """Add predictions.

        Args:
            ids: N names, as file-system bytes.
            probabilities: (N, K).
        """
        best = np.argsort(-probabilities, axis=1, kind="stable")[:, : self._top]
        rows = []
        for name, order, row in zip(ids, best, probabilities, strict=True):
            cells = self._empty(name)
            for rank, which in enumerate(order, start=1):
                cells[f"label_{rank}"] = self._classes[which]
                cells[f"probability_{rank}"] = float(row[which])
            rows.append(cells)
        self._put(rows)

    def reject(self, name: bytes, reason: str) -> None:
        """Add an input that has no prediction, and why."""
        self._put([{**self._empty(name), "error": reason}])

    def _put(self, rows: list[dict[str, Any]]) -> None:
        with storage_errors(self._output) if self._output else contextlib.nullcontext():
            self._sink.write(rows)

    def _empty(self, name: bytes) -> dict[str, Any]:
        cells: dict[str, Any] = dict.fromkeys(_header(self._top))
        cells["id"] = os.fsdecode(name)
        return cells


@contextlib.contextmanager
def prediction_writer(
    output: Path | None, stream: BinaryIO, classes: Sequence[str], *, top: int = 1
) -> Iterator[PredictionWriter]:
    r"""Open the place that predictions go to.

    A file appears whole when the block ends without an error, or not at all.
    Names of undecodable bytes keep them in CSV; JSON lines carry them as
    escaped surrogates, Parquet and terminals as `\xNN`.

    Args:
        output: A `.csv`, `.jsonl` or `.parquet` file; None for CSV to `stream`.
        stream: Standard output, binary.
        classes: K names.
        top: How many classes each row names, at most K.

    Raises:
        UsageError: Another ending, or `top` below 1.
        MissingExtraError: Parquet without pyarrow.
        StorageError: The disk is full or the folder is not writable.
    """
    if top < 1:
        raise UsageError("too few classes for each row", got=top, expected="1 or more")
    top = min(top, len(classes))
    if output is None:
        terminal = stream.isatty()
        text = io.TextIOWrapper(stream, "utf-8", "surrogateescape", newline="")
        try:
            yield PredictionWriter(_Csv(text, top, escape=terminal), None, classes, top)
        finally:
            text.detach()
        return
    ending = output.suffix.lower()
    if ending not in FORMATS:
        raise UsageError(
            "unknown format for predictions",
            where=output,
            got=ending or "no ending",
            expected=", ".join(FORMATS),
        )
    if ending == ".parquet":
        _require_pyarrow()
    descriptor, temporary = create_temporary(output)
    try:
        with os.fdopen(descriptor, "wb") as file:
            sink = _open_sink(ending, file, top)
            try:
                yield PredictionWriter(sink, output, classes, top)
            finally:  # a Parquet writer left open would write to the closed file later
                with storage_errors(output):
                    sink.close()
            with storage_errors(output):
                file.flush()
                os.fsync(file.fileno())
        publish(temporary, output)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _header(top: int) -> list[str]:
    ranks = range(1, top + 1)
    pairs = [name for rank in ranks for name in (f"label_{rank}", f"probability_{rank}")]
    return ["id", *pairs, "error"]


def _require_pyarrow() -> None:
    try:
        import pyarrow.parquet  # noqa: F401  # asks only whether it is there
    except ImportError as error:
        raise MissingExtraError("pyarrow is needed to write Parquet", extra="parquet") from error


def _open_sink(ending: str, file: BinaryIO, top: int) -> _Sink:
    if ending == ".parquet":
        return _Parquet(file, top)
    if ending == ".jsonl":
        return _JsonLines(file)
    text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")
    return _Csv(text, top, escape=False)


class _Csv:
    def __init__(self, text: TextIO, top: int, *, escape: bool) -> None:
        self._text, self._escape = text, escape
        self._writer = csv.DictWriter(text, _header(top), lineterminator="\n")
        self._writer.writeheader()

    def write(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            self._writer.writerow({key: self._cell(value) for key, value in row.items()})

    def _cell(self, value: Any) -> Any:
        return printable(value) if self._escape and isinstance(value, str) else value

    def close(self) -> None:
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

    def __init__(self, file: BinaryIO, top: int) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = {"id": pa.string(), "error": pa.string()}
        self._schema = pa.schema(
            [
                (name, kinds.get(name, pa.string() if name[0] == "l" else pa.float64()))
                for name in _header(top)
            ]
        )
        self._writer = pq.ParquetWriter(file, self._schema)
        self._rows: list[dict[str, Any]] = []

    def write(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            self._rows.append({key: _decodable(value) for key, value in row.items()})
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
    if not isinstance(value, str):
        return value
    return os.fsencode(value).decode("utf-8", "backslashreplace")
