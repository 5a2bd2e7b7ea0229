"""Batches of images: read, checked against their digests, prepared, augmented.

N is the number of rows, B of rows in a batch, H × W the input size in pixels.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from embedcache.errors import CacheInvalidError, InputRejectedError
from embedcache.finetuning.augment import augmentation
from embedcache.finetuning.batches import Batch
from embedcache.finetuning.sampling import derived_seed, rows_of_step
from embedcache.inputs.files import read_regular
from embedcache.inputs.images import decode_rgb
from embedcache.inputs.preprocess import Preprocessing
from embedcache.records.strings import Strings

__all__ = ["ImageBatches", "Images", "InOrder"]

_AUGMENT = 2
"""What sets the seeds of augmentation apart from others of the same run."""


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images on disk.

    Attributes:
        paths: N absolute paths, as file-system bytes.
        digests: (N, 32) uint8, SHA-256 of the bytes that were embedded.
        labels: (N,) int64, 0 to K − 1.
        weights: (N,) float32, each row's share in the loss.
        preprocessing: Of the backbone.
    """

    paths: Strings
    digests: NDArray[np.uint8]
    labels: NDArray[np.int64]
    weights: NDArray[np.float32]
    preprocessing: Preprocessing

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, row: int) -> NDArray[np.uint8]:
        """The prepared image, (H, W, 3) uint8.

        Raises:
            CacheInvalidError: It is gone, or has other bytes than those embedded.
        """
        path = self.paths[row]
        try:
            data = read_regular(path)
            if hashlib.sha256(data).digest() != self.digests[row].tobytes():
                raise InputRejectedError("CHANGED_WHILE_READ", "other bytes than when embedded")
            return self.preprocessing.apply(decode_rgb(data))
        except InputRejectedError as error:
            raise CacheInvalidError(
                "an image is not what was embedded",
                where=os.fsdecode(path),
                got=error.detail,
                hint="embedcache extract brings the cache up to date; --source DIR names another "
                "place of the same images",
            ) from error

    def batch(self, rows: NDArray[np.int64], pixels: Tensor | None = None) -> Batch:
        """Some rows, (B, H, W, 3) uint8."""
        if pixels is None:
            pixels = torch.from_numpy(np.stack([self.image(int(row)) for row in rows]))
        return Batch(
            pixels, torch.from_numpy(self.labels[rows]), torch.from_numpy(self.weights[rows])
        )


@dataclass(frozen=True, eq=False)
class ImageBatches:
    """Shuffled and augmented. Satisfies `Batches`.

    Attributes:
        images: The training rows.
        batch_size: B.
        seed: Of order and augmentation.
        augment: One of `AUGMENTATIONS`.
    """

    images: Images
    batch_size: int
    seed: int
    augment: str

    @property
    def rows(self) -> int:
        """N."""
        return len(self.images)

    def batch(self, step: int) -> Batch:
        """The rows of a step."""
        rows = rows_of_step(self.seed, step, self.batch_size, self.rows)
        change = augmentation(self.augment)
        if change is None:
            return self.images.batch(rows)
        pictures = []
        with torch.random.fork_rng([]):
            for place, row in enumerate(rows):
                torch.manual_seed(derived_seed(self.seed, _AUGMENT, step, place))
                planes = torch.tensor(self.images.image(int(row))).permute(2, 0, 1)
                pictures.append(change(planes).permute(1, 2, 0))
        return self.images.batch(rows, torch.stack(pictures))


@dataclass(frozen=True, eq=False)
class InOrder:
    """Each row once, in order, as it is; the last batch may be smaller.

    Attributes:
        images: The rows.
        batch_size: B.
    """

    images: Images
    batch_size: int

    @property
    def rows(self) -> int:
        """N."""
        return len(self.images)

    @property
    def count(self) -> int:
        """Batches."""
        return -(-self.rows // self.batch_size)

    def batch(self, step: int) -> Batch:
        """Batch `step`, of `count`."""
        start = step * self.batch_size
        return self.images.batch(np.arange(start, min(start + self.batch_size, self.rows)))
