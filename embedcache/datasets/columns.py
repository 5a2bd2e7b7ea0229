"""The columns of a table: which one holds the path, the label, the split and the group."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from embedcache.datasets.options import SourceOptions
from embedcache.errors import SourceError

__all__ = ["Columns", "Rows", "choose_columns", "find_column"]

_PATHS = (
    "path",
    "image_path",
    "filepath",
    "file_path",
    "file",
    "filename",
    "file_name",
    "image",
    "img",
)
_USUAL_NAMES = {
    "path": _PATHS,
    "id": ("id", *_PATHS),
    "label": ("label", "class", "target", "category"),
    "split": ("split", "set", "subset"),
    "group": ("group", "group_id", "patient", "patient_id", "subject", "subject_id"),
}
"""Names by which a column is found, in any case, the first that there is."""


class Columns(NamedTuple):
    """Indices of the columns that are read, `None` for one that the table lacks.

    `label` is the one column of labels; where each class has its own, it is `None`.
    """

    path: int | None
    label: int | None
    split: int | None
    group: int | None


@dataclass(frozen=True)
class Rows:
    """An open table: its header, and its rows as text.

    Attributes:
        location: Absolute path of the table.
        unit: What places are counted in: `line`, `row`.
        header: Names of the columns.
        select: Gives for each row, in order, its place (from 1) and the cells of the columns
            asked for, empty where a column is `None`.
    """

    location: Path
    unit: str
    header: tuple[str, ...]
    select: Callable[[Sequence[int | None]], Iterator[tuple[int, Sequence[str]]]]

    def place(self, number: int) -> str:
        """The place of a row, for messages."""
        return f"{self.location}, {self.unit} {number}"


def choose_columns(rows: Rows, options: SourceOptions) -> Columns:
    """Find the columns by the names in `options`, else by their usual names.

    Raises:
        SourceError: There is no column of the paths, none of a name that was given, or two
            columns of the same name.
    """
    columns = Columns(
        path=find_column(rows, "path", options.path_column),
        label=None
        if options.labels == "none" or isinstance(options.label_column, tuple)
        else find_column(rows, "label", options.label_column),
        split=find_column(rows, "split", options.split_column),
        group=find_column(rows, "group", options.group_column),
    )
    if columns.path is None:
        raise _missing(rows, "path", f"one of {', '.join(_USUAL_NAMES['path'])}")
    return columns


def find_column(rows: Rows, role: str, name: str | None) -> int | None:
    """The index of the column for a role, by the name given, else by its usual names.

    Args:
        rows: The table.
        role: `path`, `id`, `label`, `split`, `group`, or another that only a name finds.
        name: `None` for the usual names, empty for none.

    Returns:
        `None` where there is none, or none is wanted.

    Raises:
        SourceError: There is no column of that name, or there are two.
    """
    if name is not None:
        matches = [i for i, column in enumerate(rows.header) if column == name]
        if name and not matches:
            raise _missing(rows, role, repr(name))
    else:
        folded = [column.strip().casefold() for column in rows.header]
        usual = next((usual for usual in _USUAL_NAMES[role] if usual in folded), None)
        matches = [i for i, column in enumerate(folded) if column == usual]
    if name == "" or not matches:
        return None
    if len(matches) > 1:
        raise SourceError(
            f"two columns that could be the {role}",
            where=rows.location,
            got=" and ".join(repr(rows.header[i]) for i in matches),
            expected="different names",
            hint="rename one of them",
        )
    return matches[0]


def _missing(rows: Rows, role: str, expected: str) -> SourceError:
    return SourceError(
        f"no column for the {role}",
        where=rows.location,
        got=f"the columns {', '.join(map(repr, rows.header))}",
        expected=expected,
        hint=f"--{role}-column NAME; names stand in the first {rows.unit} of the table"
        if rows.unit == "line"
        else f"--{role}-column NAME",
    )
