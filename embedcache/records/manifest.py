"""`Manifest`: the samples of a source, in order, with what is known about each.

N is the number of samples, K the number of classes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcache.records.label_arrays import Labels, is_multilabel
from embedcache.records.strings import Strings

__all__ = ["NO_CODE", "SPLITS", "Manifest", "SourceRecord"]

SPLITS = ("", "train", "val", "test")
"""Names of the split codes 0 to 3; code 0 is "none given"."""

NO_CODE = -1
"""Label or group code of a sample that has none."""


@dataclass(frozen=True)
class SourceRecord:
    """Where a manifest came from, enough to open it again.

    Attributes:
        kind: `folder` or `table`.
        location: Absolute path of the folder or of the manifest file.
        options: How it was read (`label_column`, `root`, …), only what differs from the defaults.
    """

    kind: str
    location: str
    options: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The fields by name."""
        return {"kind": self.kind, "location": self.location, "options": dict(self.options)}

    @classmethod
    def from_json(cls, value: Any) -> SourceRecord:
        """The record, from what `to_json` gave.

        Raises:
            ValueError: A field is missing, unknown or of another type.
        """
        match value:
            case {"kind": str(kind), "location": str(location), "options": dict(options)} if len(
                value
            ) == 3 and all(isinstance(x, str) for pair in options.items() for x in pair):
                return cls(kind, location, options)
        raise ValueError(f"not a source record: {value!r}")


@dataclass(frozen=True, eq=False)
class Manifest:
    """The samples of a source.

    Attributes:
        source: Where they came from.
        root: Absolute folder that ids are relative to.
        ids: N ids, unique: the path relative to `root`, `/` separators, file-system bytes.
        labels: (N,) int32 codes into `classes`, `NO_CODE` for unlabelled; or (N, K) uint8
            indicators, `label_arrays.UNLABELLED` throughout a row that is.
        classes: K class names, sorted.
        split: (N,) uint8 codes into `SPLITS`.
        group: (N,) int32 codes into `groups`, `NO_CODE` for none.
        groups: Names of the groups.
        notes: What a person should know about how the source was read.
    """

    source: SourceRecord
    root: str
    ids: Strings
    labels: Labels
    classes: Strings
    split: NDArray[np.uint8]
    group: NDArray[np.int32]
    groups: Strings
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def is_multilabel(self) -> bool:
        """Whether a sample may have several classes."""
        return is_multilabel(self.labels)

    def path(self, index: int) -> bytes:
        """Absolute path of sample `index`, as file-system bytes."""
        return os.path.join(os.fsencode(self.root), self.ids[index])

    def take(self, rows: NDArray[np.int64]) -> Manifest:
        """The samples at `rows`, (M,) int64, in that order."""
        return Manifest(
            self.source,
            self.root,
            self.ids.take(rows),
            self.labels[rows],
            self.classes,
            self.split[rows],
            self.group[rows],
            self.groups,
            self.notes,
        )
