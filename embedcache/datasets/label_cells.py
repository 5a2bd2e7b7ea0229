"""Labels from the cells of a table: a name, several names in a cell, or a column for each class.

N is the number of rows, K the number of classes.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from embedcache.datasets.codes import Coder
from embedcache.datasets.columns import Rows, find_column
from embedcache.datasets.options import SourceOptions
from embedcache.errors import SourceError
from embedcache.records.label_arrays import UNLABELLED, Labels
from embedcache.records.strings import Strings

__all__ = ["LabelCells", "Marks", "OneName", "Tags", "label_cells"]

_MARKS = {"0": 0, "0.0": 0, "false": 0, "1": 1, "1.0": 1, "true": 1}
"""What a cell of an indicator column may hold, in any case; data frames write whole floats."""


class LabelCells(Protocol):
    """Collects the labels of one row after the other."""

    @property
    def columns(self) -> tuple[int | None, ...]:
        """The columns that it reads, `None` for one that is always blank."""

    def add(self, cells: Sequence[str], at: int) -> None:
        """Append the next row, found at place `at`."""

    def finish(self) -> tuple[Labels, Strings]:
        """The labels of N rows, and K names."""


class OneName:
    """One class for each row, named as the cell is; a blank cell is unlabelled."""

    def __init__(self, column: int | None, place: Callable[[int], str]) -> None:
        self.columns = (column,)
        self._coder = Coder("label", place)

    def add(self, cells: Sequence[str], at: int) -> None:
        """Append the next row.

        Raises:
            SourceError: The name equals another one but for its Unicode form.
        """
        (name,) = cells
        self._coder.add(name if name.strip() else None, at)

    def finish(self) -> tuple[NDArray[np.int32], Strings]:
        """(N,) int32 codes, and the names, sorted."""
        return self._coder.finish()


class Tags:
    """Several names in one cell: `cat|indoor`.

    Spaces around a name and empty names count for nothing, and so does a name
    that is repeated. A blank cell is unlabelled; a cell of separators alone
    says that none of the names applies.

    Args:
        column: Where they stand.
        separator: What stands between two names, not empty.
        place: Names the place of a row, for messages.
    """

    def __init__(self, column: int, separator: str, place: Callable[[int], str]) -> None:
        self.columns = (column,)
        self._separator = separator
        self._coder = Coder("label", place)
        self._counts = array("q")

    def add(self, cells: Sequence[str], at: int) -> None:
        """Append the next row.

        Raises:
            SourceError: A name equals another one but for its Unicode form.
        """
        (cell,) = cells
        if not cell.strip() and self._separator not in cell:
            self._counts.append(-1)
            return
        names = [name for part in cell.split(self._separator) if (name := part.strip())]
        for name in names:
            self._coder.add(name, at)
        self._counts.append(len(names))

    def finish(self) -> tuple[NDArray[np.uint8], Strings]:
        """(N, K) uint8 indicators, and the names, sorted."""
        codes, names = self._coder.finish()
        counts = np.array(self._counts, np.int64)
        labels = np.zeros((len(counts), len(names)), np.uint8)
        labels[np.repeat(np.arange(len(counts)), np.maximum(counts, 0)), codes] = 1
        labels[counts < 0] = UNLABELLED
        return labels, names


class Marks:
    """A column of 0 and 1 for each class; a row with a blank cell is unlabelled.

    Args:
        columns: The columns.
        names: Their K names, which are those of the classes.
        place: Names the place of a row, for messages.
    """

    def __init__(
        self, columns: Sequence[int], names: Sequence[str], place: Callable[[int], str]
    ) -> None:
        order = sorted(range(len(names)), key=lambda at: os.fsencode(names[at]))
        self.columns = tuple(columns[at] for at in order)
        self._names = [names[at] for at in order]
        self._place = place
        self._rows = bytearray()

    def add(self, cells: Sequence[str], at: int) -> None:
        """Append the next row.

        Raises:
            SourceError: A cell is neither blank nor a mark.
        """
        marks = bytes(
            self._mark(cell, name, at) for cell, name in zip(cells, self._names, strict=True)
        )
        self._rows += bytes([UNLABELLED]) * len(marks) if UNLABELLED in marks else marks

    def _mark(self, cell: str, name: str, at: int) -> int:
        text = cell.strip().casefold()
        mark = _MARKS.get(text) if text else UNLABELLED
        if mark is None:
            raise SourceError(
                "a cell of an indicator column that is neither 0 nor 1",
                where=f"{self._place(at)}, column {name!r}",
                got=repr(cell),
                expected="0, 1, false, true, or nothing for an unlabelled row",
                hint="several names in one cell are read by one --label-column and "
                "--label-separator",
            )
        return mark

    def finish(self) -> tuple[NDArray[np.uint8], Strings]:
        """(N, K) uint8 indicators, and the names, sorted."""
        labels = np.frombuffer(bytes(self._rows), np.uint8).reshape(-1, len(self._names))
        return labels, Strings.of(self._names)


def label_cells(rows: Rows, options: SourceOptions, column: int | None) -> LabelCells:
    """How the labels of a table are to be read.

    Args:
        rows: The table.
        options: How the source is to be read.
        column: The one column of labels, where there is one.

    Raises:
        SourceError: There is no column of a name that was given, or none of labels although
            a separator was.
    """
    if options.labels == "none" or not (options.label_separator or options.several_columns):
        return OneName(column, rows.place)
    if options.several_columns:
        found = [find_column(rows, "label", name) for name in options.several_columns]
        marks = [index for index in found if index is not None]
        return Marks(marks, options.several_columns, rows.place)
    assert options.label_separator is not None
    if column is None:
        raise SourceError(
            "no column for the labels that the separator parts",
            where=rows.location,
            got=f"the columns {', '.join(map(repr, rows.header))}",
            hint="--label-column NAME beside --label-separator",
        )
    return Tags(column, options.label_separator, rows.place)
