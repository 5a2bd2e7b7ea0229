"""Tests of `embedcache.inputs.golden`."""

from __future__ import annotations

import hashlib
import io

import numpy as np
from PIL import Image

from embedcache.inputs.golden import golden_bytes, texture
from embedcache.inputs.images import decode_rgb


def test_golden_image() -> None:
    """The golden JPEG is small, not square, and turned by EXIF."""
    data = golden_bytes()
    stored = Image.open(io.BytesIO(data))
    assert len(data) < 60_000
    assert stored.size == (384, 288)
    assert stored.getexif()[0x0112] == 6
    assert decode_rgb(data).size == (288, 384)


def test_golden_image_is_textured() -> None:
    """Detail at the scale of a pixel and no symmetry: any change of resampling shows."""
    pixels = np.asarray(decode_rgb(golden_bytes())).astype(int)
    assert np.abs(np.diff(pixels, axis=0)).mean() > 8
    assert np.abs(np.diff(pixels, axis=1)).mean() > 8
    assert np.abs(pixels - pixels[:, ::-1]).mean() > 20
    assert np.abs(pixels - pixels[::-1]).mean() > 20


def test_texture_is_the_same_everywhere() -> None:
    """The texture's bits never change: golden records depend on them."""
    digest = hashlib.sha256(texture(224, 200).tobytes()).hexdigest()
    assert digest == "400349d0a1f6f6af275a3f29d9801a12d5de1ce302d6215690778212ec979e02"


def test_texture_is_textured() -> None:
    """It has detail, uses the range of pixel values, and differs between channels."""
    values = texture(64, 96).astype(int)
    assert values.shape == (64, 96, 3)
    assert values.min() < 32
    assert values.max() > 200
    assert np.abs(np.diff(values, axis=1)).mean() > 5
    assert np.abs(values[..., 0] - values[..., 1]).mean() > 20
