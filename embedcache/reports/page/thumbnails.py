"""`thumbnail`: a picture made small, as a data URI."""

from __future__ import annotations

import base64
import io

from PIL import Image

__all__ = ["thumbnail"]

_SIDE = 176  # pixels: as shown on a phone of two pixels for one
_QUALITY = 72


def thumbnail(image: Image.Image) -> str:
    """A small JPEG of an RGB image, which is changed, as a data URI."""
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX, reducing_gap=None)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
