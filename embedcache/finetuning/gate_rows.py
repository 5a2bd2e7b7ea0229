"""`GateRows`: what a gate saw of each test row, before and after, for whoever looks at it later.

T is the number of judged rows, K of the names of classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import CacheInvalidError
from embedcache.heads.tensors import load_tensors, tensor_bytes
from embedcache.runs.files import read_regular
from embedcache.runs.folder import GATE_ROWS
from embedcache.storage.digests import sha256_hex
from embedcache.storage.publish import write_atomic

__all__ = ["GateRows"]

_LARGEST = 1 << 36
_SHAPES: dict[str, tuple[str, tuple[int | None, ...]]] = {
    "digest": ("uint8", (None, 32)),
    "label": ("int32", (None,)),
    "before": ("int32", (None,)),
    "after": ("int32", (None,)),
    "sure": ("float32", (None,)),
}


@dataclass(frozen=True, eq=False)
class GateRows:
    """The answers of the frozen and of the tuned model to the same rows.

    Attributes:
        digest: (T, 32) uint8, SHA-256 of the image's bytes.
        label: (T,) int32 in 0 to K − 1: column of the head's probabilities, or beyond them a
            class in `Head.unseen`.
        before: (T,) int32, the answer of the run's head.
        after: (T,) int32, that of the tuned model.
        sure: (T,) float32, the probability that the tuned model gave its answer.
    """

    digest: NDArray[np.uint8]
    label: NDArray[np.int32]
    before: NDArray[np.int32]
    after: NDArray[np.int32]
    sure: NDArray[np.float32]

    @property
    def fixed(self) -> NDArray[np.int64]:
        """Rows that only the tuned model has right, the surest first."""
        return self._changed(self.after, self.before)

    @property
    def broken(self) -> NDArray[np.int64]:
        """Rows that only the frozen one has right, where the tuned one is surest first."""
        return self._changed(self.before, self.after)

    def _changed(self, right: NDArray[np.int32], wrong: NDArray[np.int32]) -> NDArray[np.int64]:
        rows = np.flatnonzero((right == self.label) & (wrong != self.label))
        return rows[np.argsort(-self.sure[rows], kind="stable")]

    def save(self, folder: Path) -> None:
        """Write `gate-rows.safetensors` into an existing folder.

        Raises:
            StorageError: The disk is full or the folder is not writable.
        """
        tensors: dict[str, NDArray[Any]] = {name: getattr(self, name) for name in _SHAPES}
        write_atomic(folder / GATE_ROWS, tensor_bytes(tensors, {"sha256": self._sum()}))

    @classmethod
    def load(cls, folder: Path) -> GateRows:
        """Read rows that may come from anybody.

        Raises:
            CacheInvalidError: The file is missing, damaged or hostile.
        """
        path = folder / GATE_ROWS
        try:
            tensors, metadata = load_tensors(read_regular(path, _LARGEST), _SHAPES)
        except ValueError as error:
            raise CacheInvalidError("not the rows of a gate", where=path, got=error) from error
        rows = cls(**tensors)
        if len({len(column) for column in tensors.values()}) > 1:
            raise CacheInvalidError("columns of different lengths", where=path)
        if metadata.get("sha256") != rows._sum():
            raise CacheInvalidError("the rows of this gate are damaged", where=path)
        return rows

    def _sum(self) -> str:
        columns = (getattr(self, name) for name in _SHAPES)
        return sha256_hex(b"".join(np.ascontiguousarray(column).tobytes() for column in columns))
