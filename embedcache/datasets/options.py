"""`SourceOptions`: how a folder or a table is to be read, where its own hints do not suffice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from embedcache.datasets.ids import absolute_path
from embedcache.errors import SourceError

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
        label_column: Tables only: column of the labels.
        split_column: Tables only: column that says `train`, `val` or `test`.
        group_column: Tables only: column of what must not be torn apart by a split (patient, site).
        allow_outside: Tables only: also take images outside of the root.
        labels: `auto`: from class folders or the label column, where there are any. `folder`:
            from class folders, and an image outside of them is an error. `none`: no labels.
    """

    root: Path | str | None = None
    path_column: str | None = None
    label_column: str | None = None
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

    def to_record(self) -> dict[str, str]:
        """What differs from the defaults, for a `SourceRecord`; the root is made absolute."""
        given = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }
        if self.root is not None:
            given["root"] = absolute_path(self.root)
        return {name: "yes" if value is True else str(value) for name, value in given.items()}

    @classmethod
    def from_record(cls, record: Mapping[str, str]) -> SourceOptions:
        """The options, from what `to_record` gave.

        Raises:
            SourceError: An option is unknown, or has a value that `to_record` never gives.
        """
        names = {field.name for field in fields(cls)}
        unknown = sorted(set(record) - names)
        if unknown or record.get("allow_outside", "yes") != "yes":
            raise SourceError(
                "the record of this source has options that this version does not know",
                got=", ".join(map(repr, unknown)) or f"allow_outside {record['allow_outside']!r}",
                expected=", ".join(sorted(names)),
                hint="name the source and its options again",
            )
        texts = {name: value for name, value in record.items() if name != "allow_outside"}
        return cls(allow_outside="allow_outside" in record, **texts)


DEFAULTS = SourceOptions()
"""Everything by the source's own hints."""
