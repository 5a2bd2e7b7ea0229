"""The golden inputs, on which drift of decoder, preprocessing or model is measured.

The JPEG is textured, not square, and turned by EXIF, for a square or smooth
image cannot tell squash from crop, nor bilinear from bicubic. The texture needs
no decoder, so that the model's drift is measured apart from the pixels'.
"""

from __future__ import annotations

from importlib import resources

import numpy as np
from numpy.typing import NDArray

__all__ = ["golden_bytes", "texture"]

_SEED = 2654435769
"""Knuth's multiplicative constant, 2^32 / golden ratio (TAOCP 3, section 6.4)."""


def golden_bytes() -> bytes:
    """The packaged JPEG: 288 x 384 pixels once upright, stored lying (EXIF orientation 6)."""
    return resources.files("embedcache.inputs").joinpath("golden.jpg").read_bytes()


def texture(height: int, width: int) -> NDArray[np.uint8]:
    """A textured picture, (height, width, 3) uint8: the same bits on every machine.

    Bands, blobs and grain at several scales, by integer arithmetic only.
    """
    y, x = np.indices((height, width), np.uint32)
    channels = []
    for channel in range(3):
        waves = (x * np.uint32(3 + channel) + y * np.uint32(7 - channel)) % np.uint32(256)
        blobs = ((x * x + y * y * np.uint32(2 + channel)) >> np.uint32(7)) % np.uint32(256)
        grain = (x * np.uint32(_SEED)) ^ (y * np.uint32(40503 + 2 * channel)) ^ np.uint32(_SEED)
        grain = (grain * np.uint32(2246822519)) >> np.uint32(26)
        channels.append((2 * waves + blobs + grain) // np.uint32(4) + np.uint32(16 * channel))
    return np.stack(channels, axis=-1).astype(np.uint8)
