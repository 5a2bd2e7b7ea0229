"""Predictions as CSV, JSON lines or Parquet: one row for each input, the rejected ones too.

Columns: `id`, `abstained` of a head that may give no answer, `label_1`, `probability_1`, …,
`label_k`, `probability_k`, `error`; of a head of any number of labels `id`, `labels`,
`probability_NAME` for each label, `error`.
N is the number of inputs of a batch, K the number of classes, or of labels.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UsageError
from embedcache.reports.prediction_layouts import Layout, RankedLayout, SetLayout
from embedcache.reports.prediction_sinks import CsvSink, Sink, open_sink, require_pyarrow
from embedcache.storage.publish import create_temporary, publish, storage_errors

__all__ = ["PredictionWriter", "prediction_writer"]

FORMATS = (".csv", ".jsonl", ".parquet")


class PredictionWriter:
    """Takes predictions batch by batch.

    Args:
        sink: Where rows go.
        output: The file behind it, for messages; None for a stream.
        layout: Which columns there are.
    """

    def __init__(self, sink: Sink, output: Path | None, layout: Layout) -> None:
        self._sink, self._output, self._layout = sink, output, layout

    def write(
        self,
        ids: Sequence[bytes],
        probabilities: NDArray[np.float64],
        abstained: NDArray[np.bool_] | None = None,
    ) -> None:
        """Add predictions.

        Args:
            ids: N names, as file-system bytes.
            probabilities: (N, K).
            abstained: (N,), rows whose largest probability is too small for an answer.
        """
        unsure = np.zeros(len(ids), bool) if abstained is None else abstained
        self._put(
            [
                {**self._empty(name), **self._layout.cells(row, abstained=bool(silent))}
                for name, row, silent in zip(ids, probabilities, unsure, strict=True)
            ]
        )

    def reject(self, name: bytes, reason: str) -> None:
        """Add an input that has no prediction, and why."""
        self._put([{**self._empty(name), "error": reason}])

    def _put(self, rows: list[dict[str, Any]]) -> None:
        with storage_errors(self._output) if self._output else contextlib.nullcontext():
            self._sink.write(rows)

    def _empty(self, name: bytes) -> dict[str, Any]:
        cells: dict[str, Any] = dict.fromkeys(self._layout.header)
        cells["id"] = os.fsdecode(name)
        return cells


@contextlib.contextmanager
def prediction_writer(
    output: Path | None,
    stream: BinaryIO,
    classes: Sequence[str],
    *,
    top: int = 1,
    marks: bool = False,
    answers_all: bool = False,
    several: bool = False,
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
        marks: Whether a column says which rows the head abstained from.
        answers_all: Whether these rows name classes all the same.
        several: Whether a row may have any number of labels: each gets all probabilities, and
            the labels whose is above one half.

    Raises:
        UsageError: Another ending, `top` below 1, or above 1 where a row has several labels.
        MissingExtraError: Parquet without pyarrow.
        StorageError: The disk is full or the folder is not writable.
    """
    if top < 1:
        raise UsageError("too few classes for each row", got=top, expected="1 or more")
    if several and top > 1:
        raise UsageError(
            "this head gives every label its own probability: none is ranked",
            got=f"--top-k {top}",
            hint="leave it out: there is a column for each label",
        )
    layout: Layout = (
        SetLayout(classes)
        if several
        else RankedLayout(classes, min(top, len(classes)), marks, answers_all)
    )
    if output is None:
        terminal = stream.isatty()
        text = io.TextIOWrapper(stream, "utf-8", "surrogateescape", newline="")
        try:
            yield PredictionWriter(CsvSink(text, layout, escape=terminal), None, layout)
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
        require_pyarrow()
    descriptor, temporary = create_temporary(output)
    try:
        with os.fdopen(descriptor, "wb") as file:
            sink = open_sink(ending, file, layout)
            try:
                yield PredictionWriter(sink, output, layout)
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
