"""Looks at the validation rows: a classifier's logits, again and again while it is trained.

From images, or from what the tail's first block takes, which is computed once: the blocks before
it don't move, so each look costs the tail alone, and says the same bit by bit. V is the number of
rows, B of those in a batch, K of classes.
"""

from __future__ import annotations

import contextlib
import tempfile
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from embedcache.backbones.families import sections
from embedcache.backbones.splitting import run, sections_from
from embedcache.backbones.torch_backbone import exact_float32
from embedcache.finetuning.classifier import Classifier
from embedcache.finetuning.images import InOrder
from embedcache.finetuning.judging import logits_of
from embedcache.finetuning.loading import stream
from embedcache.finetuning.precision import autocast
from embedcache.storage.publish import storage_errors

__all__ = ["ImageLooks", "Look", "TailLooks"]

Look = Callable[[], NDArray[np.float32]]
"""(V, K) logits of the classifier as it is now, in evaluation mode."""

_MEMORY = 1 << 30
"""Bytes of activations that are held in memory; more lie in a file without a name."""


@dataclass(frozen=True, eq=False)
class ImageLooks:
    """Looks that read the images.

    Attributes:
        classifier: That is trained.
        rows: The images.
        precision: Of the forward pass: that of the backbone's identity.
        workers: Processes that prepare images.
    """

    classifier: Classifier
    rows: InOrder
    precision: str
    workers: int

    def __call__(self) -> NDArray[np.float32]:
        """The logits now."""
        return logits_of(self.classifier, self.rows, self.precision, self.workers)


class TailLooks:
    """Looks that cost the tail; the images are read now, and never again.

    Args:
        images: What they stand for.
        boundary: The tail's first block.
        folder: Of the file, where activations are too many for memory.
        memory: Bytes of them that are not.

    Raises:
        CacheInvalidError: An image has changed.
        StorageError: The disk is full.
    """

    def __init__(
        self, images: ImageLooks, boundary: str, folder: Path, *, memory: int = _MEMORY
    ) -> None:
        self._classifier, self._precision = images.classifier, images.precision
        tower = images.classifier.tower
        self._upper = sections_from(tower, boundary)
        self._device = next(tower.parameters()).device
        lower = sections(tower)[: -len(self._upper)]
        self._kept: _Kept | None = None
        with (
            self._as_extracted(),
            contextlib.closing(
                stream(images.rows, 0, images.rows.count, images.workers)
            ) as batches,
        ):
            for batch in batches:
                planes = self._classifier.planes(batch.inputs.to(self._device, non_blocking=True))
                part = run(lower, tower, planes).cpu().clone()  # without gaps
                if self._kept is None:
                    fits = part.nbytes * images.rows.count <= memory
                    self._kept = _InMemory() if fits else _OnDisk(folder)
                self._kept.add(part)

    def __call__(self) -> NDArray[np.float32]:
        """The logits now."""
        assert self._kept is not None, "some rows are always set aside"
        classifier = self._classifier
        with self._as_extracted():
            return np.concatenate(
                [
                    classifier.logits(run(self._upper, classifier.tower, part.to(self._device)))
                    .float()
                    .cpu()
                    .numpy()
                    for part in self._kept
                ]
            )

    @contextlib.contextmanager
    def _as_extracted(self) -> Iterator[None]:
        with torch.inference_mode(), exact_float32(), autocast(self._device, self._precision):
            yield


class _Kept(Protocol):
    def add(self, part: Tensor) -> None: ...

    def __iter__(self) -> Iterator[Tensor]: ...


class _InMemory(list[Tensor]):
    def add(self, part: Tensor) -> None:
        self.append(part)


class _OnDisk:
    """In a file that is gone when this is, also after a kill."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with storage_errors(folder):
            self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # kept open
        weakref.finalize(self, self._file.close)
        self._layouts: list[tuple[torch.dtype, torch.Size, tuple[int, ...], int]] = []

    def add(self, part: Tensor) -> None:
        flat = part.as_strided((part.numel(),), (1,)).view(torch.uint8)
        with storage_errors(self._folder, needed=part.nbytes):
            self._file.write(flat.numpy().data)
            self._file.flush()
        self._layouts.append((part.dtype, part.size(), part.stride(), part.nbytes))

    def __iter__(self) -> Iterator[Tensor]:
        self._file.seek(0)
        for dtype, size, stride, count in self._layouts:
            values = torch.frombuffer(bytearray(self._file.read(count)), dtype=dtype)
            yield values.as_strided(size, stride)
