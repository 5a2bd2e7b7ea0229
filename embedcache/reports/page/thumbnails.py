"""`Thumbnails`: pictures of rows as data URIs, if their files are still what was embedded."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embedcache.errors import InputRejectedError
from embedcache.inputs.files import read_regular
from embedcache.inputs.images import decode_rgb

__all__ = ["Thumbnails"]

_SIDE = 176  # pixels: as shown on a phone of two pixels for one
_QUALITY = 72


@dataclass(frozen=True, eq=False)
class Thumbnails:
    """Reads a row's file and makes it small.

    Attributes:
        path: Of a row's file.
        digests: (N, 32) uint8, SHA-256 of the files that were embedded. A file that has
            changed since is not shown: it is not what the head saw.
    """

    path: Callable[[int], bytes]
    digests: NDArray[np.uint8]

    def __call__(self, row: int) -> str | None:
        """A small JPEG of the row's picture as a data URI, None if it is not there any more."""
        try:
            data = read_regular(self.path(row))
            if hashlib.sha256(data).digest() != self.digests[row].tobytes():
                return None
            image = decode_rgb(data)
        except InputRejectedError:
            return None
        image.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX, reducing_gap=None)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=_QUALITY)
        return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
