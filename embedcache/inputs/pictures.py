"""`read_picture`: the picture of a row, if its file is still what was embedded."""

from __future__ import annotations

import hashlib

from PIL import Image

from embedcache.errors import InputRejectedError
from embedcache.inputs.files import read_regular
from embedcache.inputs.images import decode_rgb

__all__ = ["read_picture"]


def read_picture(path: bytes, digest: bytes) -> Image.Image | None:
    """The upright RGB image; None where the file is gone, unreadable, or has other bytes.

    Args:
        path: Of the file.
        digest: SHA-256 of the bytes that were embedded, 32 bytes.
    """
    try:
        data = read_regular(path)
        return decode_rgb(data) if hashlib.sha256(data).digest() == digest else None
    except InputRejectedError:
        return None
