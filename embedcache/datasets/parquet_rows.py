"""Read a Parquet manifest, its cells as text (extra `parquet`)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from embedcache.datasets.columns import Rows
from embedcache.errors import MissingExtraError, SourceError

__all__ = ["cell_text", "open_parquet"]

_BATCH_ROWS = 16_384
"""Rows that are held as Python objects at a time."""


@contextlib.contextmanager
def open_parquet(path: Path) -> Iterator[Rows]:
    """Open a Parquet manifest; batches of rows are read as they are asked for.

    Raises:
        MissingExtraError: pyarrow is not installed.
        SourceError: It is not a Parquet file; or, also while rows are read: it
            is damaged, or a cell is neither text nor a number.
        OSError: It cannot be read.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("Parquet manifests need pyarrow", extra="parquet") from error

    @contextlib.contextmanager
    def damage_named() -> Iterator[None]:
        # pyarrow gives damage as its own errors, as ValueError or as a bare OSError.
        try:
            yield
        except (pyarrow.ArrowException, ValueError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise SourceError(
                "this is not a sound Parquet file", where=path, got=str(error).splitlines()[0]
            ) from error

    with path.open("rb") as raw, contextlib.ExitStack() as stack:
        with damage_named():
            file = stack.enter_context(pyarrow.parquet.ParquetFile(raw))
            header = tuple(file.schema_arrow.names)

        def select(columns: Sequence[int | None]) -> Iterator[tuple[int, Sequence[str]]]:
            names = sorted({header[i] for i in columns if i is not None})
            with damage_named():
                batches = file.iter_batches(_BATCH_ROWS, columns=names)
            number = 0
            while True:
                with damage_named():
                    batch = next(batches, None)
                    if batch is None:
                        return
                    values = {name: batch.column(name).to_pylist() for name in names}
                blank = [None] * batch.num_rows
                cells = [blank if i is None else values[header[i]] for i in columns]
                for row in zip(*cells, strict=True):
                    number += 1
                    yield number, [_text(value, path, number) for value in row]

        yield Rows(path, "row", header, select)


def cell_text(value: Any) -> str | None:
    """A cell as text, `None` for a type that has no plain text.

    Text stays as it is, integers and booleans are written as Python writes
    them, null and NaN are empty. Whole floats lose their `.0`, because a data
    frame turns integers into floats as soon as one is missing, and that must
    not turn the class `1` into another one.
    """
    match value:
        case None:
            return ""
        case float() if value != value:  # NaN
            return ""
        case float() if value.is_integer():
            return str(int(value))
        case str() | int() | float():
            return str(value)
    return None


def _text(value: Any, path: Path, number: int) -> str:
    text = cell_text(value)
    if text is None:
        raise SourceError(
            "a cell that is neither text nor a number",
            where=f"{path}, row {number}",
            got=type(value).__name__,
            expected="text, an integer, a float or null",
            hint="name another column with --path-column, --label-column, …",
        )
    return text
