"""`read_labels`: other labels for images that are embedded already, from a CSV file.

N is the number of rows of the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedcache.datasets.codes import Coder
from embedcache.datasets.columns import choose_columns
from embedcache.datasets.csv_rows import open_csv
from embedcache.datasets.ids import IdMaker, absolute_path
from embedcache.datasets.options import SourceOptions
from embedcache.errors import SourceError, StorageError
from embedcache.records.strings import Strings

__all__ = ["LabelTable", "read_labels"]


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Labels by id.

    Attributes:
        ids: N ids, unique.
        labels: (N,) int32 codes into `classes`, −1 for a blank cell.
        classes: K names, sorted.
    """

    ids: tuple[bytes, ...]
    labels: NDArray[np.int32]
    classes: Strings


def read_labels(location: Path, root: str) -> LabelTable:
    """Read a CSV file with a column `id`, or of paths, and one of labels.

    Args:
        location: The file.
        root: Absolute folder that ids are relative to; absolute paths in it become ids.

    Raises:
        SourceError: It is malformed, lacks a column, names an image twice or has no rows.
        StorageError: It cannot be read.
    """
    path = absolute_path(location)
    try:
        with open_csv(path) as rows:
            named = {name.strip().lower(): name for name in rows.header}
            columns = choose_columns(rows, SourceOptions(path_column=named.get("id")))
            if columns.label is None:
                raise SourceError(
                    "no column of labels",
                    where=path,
                    got=", ".join(rows.header),
                    expected="a column 'label' beside 'id' or 'path'",
                )
            maker = IdMaker(Path(root), allow_outside=True, place=rows.place)
            coder = Coder("label", rows.place)
            places: dict[bytes, int] = {}
            for place, (name, label, _, _) in rows.select(columns):
                item = maker.id(name, place)
                if item in places:
                    raise SourceError(
                        "the same image twice",
                        where=f"{rows.place(places[item])} and {rows.unit} {place}",
                        got=repr(name),
                        expected="one label for each image",
                    )
                places[item] = place
                coder.add(label if label.strip() else None, place)
    except OSError as error:
        raise StorageError(
            "this table cannot be read", where=path, got=error.strerror or error
        ) from error
    if not places:
        raise SourceError("this table has a header and no rows", where=path)
    return LabelTable(tuple(places), *coder.finish())
