"""`SeenRows`: the images that a fine-tuned backbone was made with.

Its features of them say nothing of images that it has not seen. n is their number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["TRAINED", "UNSEEN", "VALIDATED", "SeenRows"]

UNSEEN, TRAINED, VALIDATED = 0, 1, 2
"""What a backbone has seen of an image: nothing, it was trained on it, or chosen by it."""


@dataclass(frozen=True, eq=False)
class SeenRows:
    """Digests of images, and their part.

    Attributes:
        digest: (n, 32) uint8, SHA-256 of the image's bytes.
        part: (n,) uint8, `TRAINED` or `VALIDATED`.
    """

    digest: NDArray[np.uint8]
    part: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.part)

    def joined(self, other: SeenRows) -> SeenRows:
        """These and others; an image that is in both counts as trained on if it is in either."""
        digest = np.concatenate([self.digest, other.digest])
        part = np.concatenate([self.part, other.part])
        order = np.argsort(part, kind="stable")
        _, first = np.unique(_keys(digest[order]), return_index=True)
        kept = order[np.sort(first)]
        return SeenRows(digest[kept], part[kept])

    def of(self, digests: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What was seen of each of some images, (M,) uint8 codes.

        Args:
            digests: (M, 32) uint8.
        """
        known, first = np.unique(_keys(self.digest), return_index=True)
        if not len(known):
            return np.full(len(digests), UNSEEN, np.uint8)
        wanted = _keys(digests)
        place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        return np.where(known[place] == wanted, self.part[first][place], UNSEEN).astype(np.uint8)


def _keys(digests: NDArray[np.uint8]) -> NDArray[np.void]:
    """The digests as one value for each row, of 32 raw bytes."""
    return np.ascontiguousarray(digests).view("V32").ravel()
