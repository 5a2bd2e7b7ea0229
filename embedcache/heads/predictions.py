"""`Predictions`: what heads that had not seen a row said of it, kept with the run.

They are the test rows' probabilities of a hold-out, or the out-of-fold ones of a
cross-validation. N is the number of rows of the cache, J of those that are judged,
K the number of classes that training or judged rows have, or of labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import CacheInvalidError
from embedcache.heads.rows import RunRows
from embedcache.heads.tensors import load_tensors, tensor_bytes
from embedcache.records.label_arrays import labelled
from embedcache.runs.files import read_regular
from embedcache.runs.folder import PREDICTIONS
from embedcache.storage.digests import sha256_hex
from embedcache.storage.publish import write_atomic

__all__ = ["Predictions"]

_LARGEST = 1 << 36

_ROUNDING = 1e-3
"""How far a row of float32 probabilities may be from a sum of 1, at up to a million classes."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Out-of-sample probabilities.

    Attributes:
        row: (J,) int64, rising: position in `RunRows`.
        group: (J,) int32, what belongs together; negative for a row of its own.
        probability: (J, K) float32, classes in the order of `Head.classes`, then of
            `Head.unseen` as far as judged rows have them: those columns are 0. Where rows
            have any number of labels, of the presence of each: rows need not sum to 1.
    """

    row: NDArray[np.int64]
    group: NDArray[np.int32]
    probability: NDArray[np.float32]

    def save(self, folder: Path) -> None:
        """Write `predictions.safetensors` into an existing folder.

        Raises:
            StorageError: The disk is full or the folder is not writable.
        """
        tensors: dict[str, NDArray[Any]] = {
            "row": self.row,
            "group": self.group,
            "probability": self.probability,
        }
        write_atomic(folder / PREDICTIONS, tensor_bytes(tensors, {"sha256": self._sum()}))

    @classmethod
    def load(cls, folder: Path, rows: RunRows) -> Predictions:
        """Read predictions that may come from anybody.

        Args:
            folder: Of the run.
            rows: The run's rows, which the predictions are about.

        Raises:
            CacheInvalidError: The file is missing, damaged, hostile or of other rows.
        """
        path = folder / PREDICTIONS
        shapes = {
            "row": ("int64", (None,)),
            "group": ("int32", (None,)),
            "probability": ("float32", (None, None)),
        }
        try:
            tensors, metadata = load_tensors(read_regular(path, _LARGEST), shapes)
        except ValueError as error:
            raise CacheInvalidError(
                "not the predictions of a run", where=path, got=error
            ) from error
        found = cls(tensors["row"], tensors["group"], tensors["probability"])
        if len({len(found.row), len(found.group), len(found.probability)}) > 1:
            raise CacheInvalidError("columns of different lengths", where=path)
        if metadata.get("sha256") != found._sum():
            raise CacheInvalidError("the predictions of this run are damaged", where=path)
        found._check(rows, path)
        return found

    def _check(self, rows: RunRows, path: Path) -> None:
        row, n, k = self.row, len(rows.label), self.probability.shape[1]
        if len(row) and not (row[0] >= 0 and row[-1] < n and (np.diff(row) > 0).all()):
            raise CacheInvalidError("predictions of rows that the run does not have", where=path)
        # A comparison with NaN is false: this refuses what is not finite, too.
        shares = ((self.probability >= 0) & (self.probability <= 1 + _ROUNDING)).all()
        if not shares:
            raise CacheInvalidError("these are not probabilities", where=path)
        label = rows.label[row]
        if rows.is_multilabel:
            if label.shape[1] != k or not labelled(label).all():
                raise CacheInvalidError(
                    "a judged row without labels, or labels without a column",
                    where=path,
                    got=f"{k} columns",
                    expected=f"{label.shape[1]}, and a label of every judged row",
                )
            return
        if len(row) and not 0 <= label.min() <= label.max() < k:
            raise CacheInvalidError(
                "a judged row of a class without a column",
                where=path,
                got=f"labels {label.min()} to {label.max()}",
                expected=f"0 to {k - 1}",
            )
        if not (np.abs(self.probability.sum(axis=1) - 1) <= _ROUNDING).all():
            raise CacheInvalidError("these are not probabilities", where=path)

    def _sum(self) -> str:
        columns = (self.row, self.group, self.probability)
        return sha256_hex(b"".join(np.ascontiguousarray(column).tobytes() for column in columns))
