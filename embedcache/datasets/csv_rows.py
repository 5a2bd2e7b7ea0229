"""Read a CSV manifest: UTF-8, a header line, `,` `;` or tab between the cells."""

from __future__ import annotations

import contextlib
import csv
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from embedcache.datasets.columns import Rows
from embedcache.errors import SourceError

__all__ = ["open_csv"]

_DELIMITERS = ",;\t"
"""The more frequent one in the header line wins; of equals, the first."""

_NO_DELIMITER = "\udc80"
"""For one column: a lone surrogate, which no UTF-8 line holds, so that paths may hold commas."""


@contextlib.contextmanager
def open_csv(path: Path) -> Iterator[Rows]:
    """Open a CSV manifest; rows are read as they are asked for.

    A byte-order mark is skipped, lines may end in LF, CRLF or CR, cells in
    double quotes may hold delimiters and line ends, blank lines count for
    nothing. Under a header of one column, a line is one cell. A place is the
    number of the line that a row begins on.

    Raises:
        SourceError: It is empty; or, also while rows are read: a line is not
            UTF-8, has another number of cells than the header, or quotes do not match.
        OSError: It cannot be read.
    """
    # Undecodable bytes come through as surrogates, so that their line can be named.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        records = _records(_utf8_lines(file, path), path)
        header = next(records, None)
        if header is None:
            raise SourceError("this manifest is empty", where=path, expected="a header line")

        def select(columns: Sequence[int | None]) -> Iterator[tuple[int, Sequence[str]]]:
            for line, cells in records:
                if len(cells) != len(header[1]):
                    raise SourceError(
                        "a row of another length than the header",
                        where=f"{path}, line {line}",
                        got=f"{len(cells)} cells",
                        expected=f"{len(header[1])} cells",
                        hint='put cells that hold the delimiter between double quotes: "a, b"',
                    )
                yield line, [cells[i] if i is not None else "" for i in columns]

        yield Rows(path, "line", tuple(header[1]), select)


def _utf8_lines(lines: Iterable[str], path: Path) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        try:
            line.encode()
        except UnicodeEncodeError as error:
            raise SourceError(
                "a line that is not UTF-8",
                where=f"{path}, line {number}",
                got=f"byte 0x{ord(line[error.start]) & 0xFF:02x} at character {error.start + 1}",
                expected="UTF-8",
                hint="save the table as UTF-8 (in a spreadsheet: CSV UTF-8)",
            ) from error
        yield line


def _records(lines: Iterator[str], path: Path) -> Iterator[tuple[int, list[str]]]:
    """All rows that are not blank, each with the line that it begins on."""
    first = next(lines, None)
    blank = 0
    while first is not None and not first.strip("\r\n"):
        first = next(lines, None)
        blank += 1
    if first is None:
        return
    delimiter = _delimiter("".join(first.split('"')[::2]))
    # Not strict, the module lets a quote that is never closed swallow the rest of the table.
    reader = csv.reader(itertools.chain([first], lines), delimiter=delimiter, strict=True)
    while True:
        line = blank + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise SourceError(
                "a row that is not well-formed",
                where=f"{path}, line {line}",
                got=error,
                expected='quotes around a whole cell, doubled inside of it: "so ""called"" cats"',
            ) from error
        if cells:
            yield line, cells


def _delimiter(unquoted: str) -> str:
    """The delimiter, from the parts of the header line outside of quotes."""
    if not any(delimiter in unquoted for delimiter in _DELIMITERS):
        return _NO_DELIMITER
    return max(_DELIMITERS, key=unquoted.count)
