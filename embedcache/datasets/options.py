"""`SourceOptions`: how a folder or a table is to be read, where its own hints do not suffice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from embedcache.datasets.ids import absolute_path
from embedcache.errors import SourceError
from embedcache.records.json_text import parse_json

__all__ = ["DEFAULTS", "SourceOptions"]

_LABELS = ("auto", "folder", "none")


@dataclass(frozen=True)
class SourceOptions:
    """How a source is to be read; `None` means by its own hints.

    For the three columns beside the path, an empty name means "none of them",
    also where a column has one of the usual names.

    Attributes:
        root: Tables only: the folder that relative paths start from, by default the table's own.
        path_column: Tables only: column of the images' paths.
        label_column: Tables only: column of the labels; or several, one for each class, of
            0 and 1 (or false and true), where an image may have several labels.
        label_separator: Tables only: what stands between the names in the column of the labels,
            where an image may have several.
        split_column: Tables only: column that says `train`, `val` or `test`.
        group_column: Tables only: column of what must not be torn apart by a split (patient, site).
        allow_outside: Tables only: also take images outside of the root.
        labels: `auto`: from class folders or the label column, where there are any. `folder`:
            from class folders, and an image outside of them is an error. `none`: no labels.
    """

    root: Path | str | None = None
    path_column: str | None = None
    label_column: str | tuple[str, ...] | None = None
    label_separator: str | None = None
    split_column: str | None = None
    group_column: str | None = None
    allow_outside: bool = False
    labels: str = "auto"

    def __post_init__(self) -> None:
        if self.labels not in _LABELS:
            raise SourceError(
                "unknown way to read labels",
                where="--labels",
                got=repr(self.labels),
                expected=", ".join(_LABELS),
            )
        if self.label_separator == "":
            raise SourceError(
                "an empty separator parts nothing",
                where="--label-separator",
                hint="leave out --label-separator where every image has one label",
            )
        several = self.several_columns
        if several and (len(set(several)) < len(several) or "" in several):
            raise SourceError(
                "several columns of labels need a name each",
                where="--label-column",
                got=", ".join(map(repr, several)),
                expected="different names, none of them empty",
            )
        if several and self.label_separator is not None:
            raise SourceError(
                "a separator parts the names in one column, not in several",
                where="--label-separator",
                got=f"{len(several)} columns of labels",
                hint="one --label-column NAME, or no --label-separator",
            )

    @property
    def several_columns(self) -> tuple[str, ...]:
        """The columns of labels where each stands for a class, empty where there is but one."""
        return self.label_column if isinstance(self.label_column, tuple) else ()

    def to_record(self) -> dict[str, str]:
        """What differs from the defaults, for a `SourceRecord`; the root is made absolute."""
        given = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }
        if self.root is not None:
            given["root"] = absolute_path(self.root)
        if self.several_columns:
            # Under another name than one column, which may be named like any list.
            given["label_columns"] = json.dumps(given.pop("label_column"))
        return {name: "yes" if value is True else str(value) for name, value in given.items()}

    @classmethod
    def from_record(cls, record: Mapping[str, str]) -> SourceOptions:
        """The options, from what `to_record` gave.

        Raises:
            SourceError: An option is unknown, or has a value that `to_record` never gives.
        """
        names = {*(field.name for field in fields(cls)), "label_columns"}
        unknown = sorted(set(record) - names)
        if unknown or record.get("allow_outside", "yes") != "yes":
            raise SourceError(
                "the record of this source has options that this version does not know",
                got=", ".join(map(repr, unknown)) or f"allow_outside {record['allow_outside']!r}",
                expected=", ".join(sorted(names)),
                hint="name the source and its options again",
            )
        texts = dict(record)
        is_outside = texts.pop("allow_outside", None) is not None
        several = texts.pop("label_columns", None)
        values: dict[str, Any] = {**texts}
        if several is not None:
            values["label_column"] = _column_names(several, texts.get("label_column"))
        return cls(allow_outside=is_outside, **values)


def _column_names(text: str, other: str | None) -> tuple[str, ...]:
    """Names of several columns, from a record.

    Raises:
        SourceError: It is no list of names, or there is one column beside them.
    """
    try:
        names = parse_json(text)
    except ValueError:
        names = None
    if (
        other is not None
        or not isinstance(names, list)
        or not names
        or not all(isinstance(x, str) for x in names)
    ):
        raise SourceError(
            "the record of this source names its columns of labels in another way",
            got=repr(text),
            expected="a JSON list of names",
            hint="name the source and its options again",
        )
    return tuple(names)


DEFAULTS = SourceOptions()
"""Everything by the source's own hints."""
