"""`Checkpoint`: a training's state in one file, replaced atomically, without pickle.

The tensors are in safetensors' format, the rest is JSON in its header. There is no state
of a random generator, a sampler or a schedule: these are functions of the step.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from embedcache.errors import CacheInvalidError
from embedcache.finetuning.curve import Progress
from embedcache.heads.json_records import dump_record, load_record
from embedcache.storage.publish import storage_errors, write_atomic

__all__ = ["Checkpoint", "Saved"]


@dataclass(frozen=True, eq=False)
class Saved:
    """A state to go on from.

    Attributes:
        progress: How far it is.
        tensors: By name.
    """

    progress: Progress
    tensors: dict[str, Tensor]


class Checkpoint:
    """The file of one training.

    Args:
        path: Where it lies, in an existing folder.
        fingerprint: Of all that the training depends on: another one's state is not used.
        every: Seconds between two writes.
    """

    def __init__(self, path: Path, fingerprint: str, every: float) -> None:
        self._path = path
        self._fingerprint = fingerprint
        self._every = every
        self._last = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether the last write is long enough ago."""
        return time.monotonic() - self._last >= self._every

    def save(self, saved: Saved) -> None:
        """Replace the file.

        Raises:
            StorageError: The disk is full or the folder is not writable.
        """
        from safetensors.torch import save

        tensors = {name: tensor.cpu().contiguous() for name, tensor in saved.tensors.items()}
        record = dump_record(saved.progress).decode()
        metadata = {
            "fingerprint": self._fingerprint,
            "progress": record,
            "sha256": _sum(record, tensors),
        }
        write_atomic(self._path, save(tensors, metadata))
        self._last = time.monotonic()

    def load(self) -> Saved | None:
        """The state, on the CPU; None where there is none of this training.

        Raises:
            CacheInvalidError: The file is damaged.
        """
        from safetensors import SafetensorError, safe_open

        if not self._path.is_file():
            return None
        try:
            with storage_errors(self._path), safe_open(self._path, "pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("fingerprint") != self._fingerprint:
                    return None
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
            record = metadata["progress"]
            progress = load_record(Progress, record.encode())
            if metadata.get("sha256") != _sum(record, tensors):
                raise ValueError("its sum does not match")
        except (SafetensorError, ValueError, KeyError) as error:
            raise CacheInvalidError(
                "this checkpoint is damaged",
                where=self._path,
                got=error,
                hint="delete it: the training then starts anew",
            ) from error
        return Saved(progress, tensors)


def _sum(record: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(record.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
