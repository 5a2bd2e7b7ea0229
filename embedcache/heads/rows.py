"""`RunRows`: which image took which part in a run, for joins by digest later.

N is the number of rows of the cache that the head was fitted on, K of labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import CacheInvalidError, UsageError
from embedcache.heads.tensors import load_tensors, tensor_bytes
from embedcache.records.label_arrays import Labels, check_labels, is_multilabel
from embedcache.runs.files import read_regular
from embedcache.runs.folder import ROWS
from embedcache.storage.digests import sha256_hex
from embedcache.storage.publish import write_atomic

__all__ = ["RunRows"]

_LARGEST = 1 << 36  # 1.8 billion rows

_ONE_LABEL: dict[str, tuple[str, tuple[int | None, ...]]] = {
    "digest": ("uint8", (None, 32)),
    "label": ("int32", (None,)),
    "side": ("uint8", (None,)),
}
_LABELS = {**_ONE_LABEL, "label": ("uint8", (None, None))}


@dataclass(frozen=True, eq=False)
class RunRows:
    """Digest, label and side of every row of the cache, unused ones included.

    Attributes:
        digest: (N, 32) uint8, SHA-256 of the image's bytes.
        label: (N,) int32, −1 for unlabelled: column of the head's probabilities, or
            from there on the classes in `Head.unseen`. Or (N, K) uint8, 1 where the row has
            the label and 0 where not, 255 throughout a row that is unlabelled.
        side: (N,) uint8, the codes `SIDE_…` of `evaluation.splits`.
    """

    digest: NDArray[np.uint8]
    label: Labels
    side: NDArray[np.uint8]

    def save(self, folder: Path) -> None:
        """Write `rows.safetensors` into an existing folder.

        Raises:
            StorageError: The disk is full or the folder is not writable.
        """
        tensors: dict[str, NDArray[Any]] = {
            "digest": self.digest,
            "label": self.label,
            "side": self.side,
        }
        write_atomic(folder / ROWS, tensor_bytes(tensors, {"sha256": self._sum()}))

    @property
    def is_multilabel(self) -> bool:
        """Whether a row may have any number of labels."""
        return is_multilabel(self.label)

    @classmethod
    def load(cls, folder: Path, *, several: bool = False) -> RunRows:
        """Read rows that may come from anybody.

        Args:
            folder: Of the run.
            several: Whether rows may have any number of labels.

        Raises:
            UsageError: They have, and may not.
            CacheInvalidError: The file is missing, damaged or hostile.
        """
        path = folder / ROWS
        data = read_regular(path, _LARGEST)
        try:
            tensors, metadata = load_tensors(data, _ONE_LABEL)
        except ValueError as error:
            try:
                tensors, metadata = load_tensors(data, _LABELS)
            except ValueError:
                raise CacheInvalidError("not the rows of a run", where=path, got=error) from error
        if is_multilabel(tensors["label"]) and not several:
            raise UsageError(
                "the rows of this run have any number of labels",
                where=folder,
                expected="a run on one label for each image",
                hint="of such runs, predict, compare and export take any",
            )
        rows = cls(tensors["digest"], tensors["label"], tensors["side"])
        if len({len(rows.digest), len(rows.label), len(rows.side)}) > 1:
            raise CacheInvalidError("columns of different lengths", where=path)
        if metadata.get("sha256") != rows._sum():
            raise CacheInvalidError("the rows of this run are damaged", where=path)
        if rows.is_multilabel:
            try:
                check_labels(rows.label, rows.label.shape[1])
            except ValueError as error:
                raise CacheInvalidError("not the rows of a run", where=path, got=error) from error
        return rows

    def _sum(self) -> str:
        columns = (self.digest, self.label, self.side)
        return sha256_hex(b"".join(np.ascontiguousarray(column).tobytes() for column in columns))
