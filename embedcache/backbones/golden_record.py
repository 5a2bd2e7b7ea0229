"""The golden record: does this environment still turn the same bytes into the same features?

D is the embedding dimension, H and W the backbone's input size in pixels. Two
things are kept apart. The pixels of the packaged JPEG after decoding and
preprocessing show a drift of decoder or resampling. The embedding of a texture
that needs no decoder shows a drift of the model's arithmetic.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcache.backbones.base import Backbone
from embedcache.errors import DriftError
from embedcache.inputs.golden import golden_bytes, texture

__all__ = ["PIXEL_TOLERANCE", "TOLERANCES", "GoldenRecord", "check_golden", "make_golden"]

PIXEL_TOLERANCE = 2
"""Of 255. libjpeg-turbo's SIMD and plain inverse DCT may differ by 1, resampling rounds once."""

# Largest difference of an embedding, relative to its largest element, seen with torch 2.14 on
# an AVX-512 CPU between eager and folded, contiguous and channels last, alone and in a batch
# of 8, one thread and two, with and without oneDNN:
#
#              EfficientNet-Lite0   -Lite2   ResNet-50   ViT-S/16   ConvNeXt-T
#   float32                1.2e-6   9.5e-7      3.7e-7     1.2e-6       3.6e-7
#   float16                5.3e-3   2.8e-3      5.4e-4     0            0
#   bfloat16               3.7e-2   2.0e-2      6.9e-3     6.7e-3       2.9e-4
#
# The tolerances leave room for other instruction sets and for CUDA, which was not at hand:
# in float32 a factor of 80, still below TF32's rounding (2^-11 per product), which is a drift.
TOLERANCES = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}
"""By precision: the largest difference of an embedding, relative to its largest element."""

_SAMPLE_SIDE = 32
"""Pixels kept per side: 3 kB, enough to tell squash from crop and bilinear from bicubic."""


@dataclass(frozen=True, eq=False)
class GoldenRecord:
    """What the golden inputs became when it was written.

    Attributes:
        digest: SHA-256, hexadecimal, of all prepared pixels of the golden JPEG.
        sample: Every so many of them, (S, S, 3) uint8.
        embedding: The texture's features, (D,) float32.
    """

    digest: str
    sample: NDArray[np.uint8]
    embedding: NDArray[np.float32]

    def to_json(self) -> dict[str, Any]:
        """The fields by name, arrays as base64 of their little-endian bytes."""
        return {
            "digest": self.digest,
            "sample_shape": list(self.sample.shape),
            "sample": _encode(self.sample),
            "embedding": _encode(self.embedding.astype("<f4")),
        }

    @classmethod
    def from_json(cls, value: Any) -> GoldenRecord:
        """The record, from what `to_json` gave.

        Raises:
            ValueError: A field is missing, unknown or of another type.
        """
        match value:
            case {
                "digest": str(digest),
                "sample_shape": [int(height), int(width), 3],
                "sample": str(sample),
                "embedding": str(embedding),
            } if len(value) == 4:
                pixels = np.frombuffer(base64.b64decode(sample, validate=True), np.uint8)
                features = np.frombuffer(base64.b64decode(embedding, validate=True), "<f4")
                return cls(digest, pixels.reshape(height, width, 3), features.astype(np.float32))
        raise ValueError("not a golden record")


def make_golden(backbone: Backbone) -> GoldenRecord:
    """The golden record of this backbone in this environment."""
    pixels = backbone.prepare(golden_bytes())
    height, width = pixels.shape[:2]
    rows, columns = (
        np.linspace(0, side - 1, min(side, _SAMPLE_SIDE)).round().astype(int)
        for side in (height, width)
    )
    features = backbone.submit(texture(height, width)[None]).result()[0]
    return GoldenRecord(
        hashlib.sha256(pixels.tobytes()).hexdigest(),
        pixels[np.ix_(rows, columns)],
        features.astype(np.float32),
    )


def check_golden(backbone: Backbone, record: GoldenRecord) -> None:
    """Compare a record with what this environment makes of the same inputs.

    Raises:
        DriftError: Pixels or features differ by more than rounding.
    """
    now = make_golden(backbone)
    if now.digest != record.digest:
        if now.sample.shape != record.sample.shape:
            raise _drift(backbone, "the input size", now.sample.shape, record.sample.shape)
        difference = int(np.abs(now.sample.astype(int) - record.sample).max())
        if difference > PIXEL_TOLERANCE:
            allowed = f"at most {PIXEL_TOLERANCE} of 255"
            raise _drift(backbone, "decoding or resizing", f"{difference} of 255", allowed)
    if now.embedding.shape != record.embedding.shape:
        raise _drift(backbone, "the dimension", now.embedding.shape, record.embedding.shape)
    tolerance = TOLERANCES[backbone.spec.identity.precision]
    scale = float(np.abs(record.embedding).max()) or 1.0
    deviation = float(np.abs(now.embedding - record.embedding).max()) / scale
    if not deviation <= tolerance:  # NaN is a drift too
        got = f"{deviation:.2g} of the largest feature"
        raise _drift(backbone, "the model's output", got, f"at most {tolerance:.2g}")


def _drift(backbone: Backbone, what: str, got: object, expected: object) -> DriftError:
    numerics = backbone.numerics
    return DriftError(
        f"this environment does not reproduce the cached features: {what} has drifted",
        where=f"{backbone.spec.name} on {numerics.device} with torch {numerics.torch}, "
        f"{numerics.library}, {numerics.codec}",
        got=got,
        expected=expected,
        hint="use the environment that wrote the cache, or embed again with --overwrite",
    )


def _encode(array: NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")
