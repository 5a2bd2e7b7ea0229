"""`read_labels`: other labels for images that are embedded already, from a CSV file.

N is the number of rows of the file, K of classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from embedcache.datasets.columns import choose_columns
from embedcache.datasets.csv_rows import open_csv
from embedcache.datasets.ids import IdMaker, absolute_path
from embedcache.datasets.label_cells import label_cells
from embedcache.datasets.options import DEFAULTS, SourceOptions
from embedcache.datasets.table_errors import table_errors
from embedcache.errors import SourceError
from embedcache.records.label_arrays import Labels
from embedcache.records.strings import Strings

__all__ = ["LabelTable", "read_labels"]


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Labels by id.

    Attributes:
        ids: N ids, unique.
        labels: (N,) int32 codes into `classes`, −1 for a blank cell; or (N, K) uint8
            indicators, `label_arrays.UNLABELLED` throughout a row that has no label.
        classes: K names, sorted.
    """

    ids: tuple[bytes, ...]
    labels: Labels
    classes: Strings


def read_labels(location: Path, root: str, options: SourceOptions = DEFAULTS) -> LabelTable:
    """Read a CSV file with a column `id`, or of paths, and one of labels.

    Args:
        location: The file.
        root: Absolute folder that ids are relative to; absolute paths in it become ids.
        options: The columns of labels, where they have no usual name or are several.

    Raises:
        SourceError: It is malformed, lacks a column, names an image twice or has no rows.
        StorageError: It cannot be read.
    """
    path = absolute_path(location)
    with table_errors(path), open_csv(path) as rows:
        named = {name.strip().lower(): name for name in rows.header}
        columns = choose_columns(rows, replace(options, path_column=named.get("id")))
        if columns.label is None and not options.several_columns:
            raise SourceError(
                "no column of labels",
                where=path,
                got=", ".join(rows.header),
                expected="a column 'label' beside 'id' or 'path'",
            )
        maker = IdMaker(Path(root), allow_outside=True, place=rows.place)
        cells = label_cells(rows, options, columns.label)
        places: dict[bytes, int] = {}
        for place, (name, *labels) in rows.select((columns.path, *cells.columns)):
            item = maker.id(name, place)
            if item in places:
                raise SourceError(
                    "the same image twice",
                    where=f"{rows.place(places[item])} and {rows.unit} {place}",
                    got=repr(name),
                    expected="one label for each image",
                )
            places[item] = place
            cells.add(labels, place)
    if not places:
        raise SourceError("this table has a header and no rows", where=path)
    return LabelTable(tuple(places), *cells.finish())
