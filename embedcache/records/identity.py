"""What makes two features comparable (`Identity`) and what does not (`Numerics`).

Every field of an identity is a string or an integer and takes part in its
digest: one changed field is another cache. Numerics are recorded with each row
and never hashed: the same backbone on another device fills the same cache.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

__all__ = ["IDENTITY_VERSION", "NO_VIEW", "FlatRecord", "Identity", "Numerics"]

IDENTITY_VERSION = 1
"""Raised when the meaning of an identity field changes."""

NO_VIEW = "none"
"""The view that is the plain evaluation preprocessing."""


@dataclass(frozen=True)
class FlatRecord:
    """A frozen record of strings and integers with one way in and out of JSON."""

    def to_json(self) -> dict[str, str | int]:
        """The fields by name."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The record, from exactly its own fields.

        Raises:
            ValueError: A field is missing, unknown, or of another type.
        """
        names = {field.name: field.type for field in fields(cls)}
        if set(value) != set(names):
            odd = sorted(set(value) ^ set(names))
            raise ValueError(f"{cls.__name__}: missing or unknown fields: {', '.join(odd)}")
        for name, type_name in names.items():
            if type(value[name]).__name__ != type_name:
                raise ValueError(
                    f"{cls.__name__}.{name}: got {value[name]!r}, expected {type_name}"
                )
        return cls(**value)


@dataclass(frozen=True)
class Identity(FlatRecord):
    """Everything that a feature's value depends on, but for rounding.

    Attributes:
        source: Library that defines the architecture: `torchvision`, `timm`, ….
        architecture: Its name there.
        weights: SHA-256 of the embedding tower's tensors (names, dtypes, shapes, bytes).
        decode: Version of the decode contract, bytes to RGB.
        resize: `shortest`, `squash` or `longest`: how the image meets `resize_to`.
        resize_to: `HxW` in pixels, before the crop.
        image_size: `HxW` in pixels, the backbone's input.
        interpolation: `nearest`, `bilinear` or `bicubic`, always antialiased.
        fill: `R,G,B` in 0 to 255 around images that do not fill the input, or `none`.
        mean: `r,g,b`, subtracted after scaling pixels to 0..1.
        std: `r,g,b`, the divisor after that.
        layer: Where the feature is read: `pre-logits`, or the block whose input it is.
        pooling: `avg`, `cls`, … or `default`, the model's own.
        normalisation: `none`, or `l2` for features of unit length.
        precision: `float32`, `bfloat16` or `float16`, of the forward pass.
        stored_dtype: `float16` or `float32`, on disk.
        version: `IDENTITY_VERSION` at the time of writing.
        view: How the prepared image is augmented, `RECIPE-NUMBER-SEED`, or `none`. It is left
            out of the JSON where it is `none`, so that digests from before it stay.
    """

    source: str
    architecture: str
    weights: str
    decode: str
    resize: str
    resize_to: str
    image_size: str
    interpolation: str
    fill: str
    mean: str
    std: str
    layer: str
    pooling: str
    normalisation: str
    precision: str
    stored_dtype: str
    version: int = IDENTITY_VERSION
    view: str = NO_VIEW

    def to_json(self) -> dict[str, str | int]:
        """The fields by name."""
        value = super().to_json()
        if self.view == NO_VIEW:
            del value["view"]
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The identity, from what `to_json` gave.

        Raises:
            ValueError: A field is missing, unknown, or of another type.
        """
        return super().from_json({"view": NO_VIEW, **value})

    @property
    def digest(self) -> str:
        """SHA-256, hexadecimal, over the fields as canonical JSON."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def short(self) -> str:
        """The first 12 digits of the digest, as in file names."""
        return self.digest[:12]

    def differences(self, other: Identity) -> tuple[str, ...]:
        """Each field that differs, as `interpolation: bilinear → bicubic`."""
        mine, theirs = asdict(self), asdict(other)
        return tuple(
            f"{name}: {_brief(name, mine[name])} → {_brief(name, theirs[name])}"
            for name in mine
            if mine[name] != theirs[name]
        )


def _brief(name: str, value: str | int) -> str:
    return str(value)[:12] if name == "weights" else str(value)


@dataclass(frozen=True)
class Numerics(FlatRecord):
    """How rows were computed: recorded with each row, never part of the identity.

    Attributes:
        device: `cpu`, or the accelerator's name.
        engine: `eager`, `folded` (batch norm folded into convolutions) or `compiled`.
        memory_format: `channels_last` or `contiguous`.
        batch_size: Rows per forward pass; the last batch is padded to it.
        torch: Version, likewise the following.
        library: The architecture's library and its version, `timm 1.0.31`.
        codec: The decoder and its version, `pillow 13.0.0`.
    """

    device: str
    engine: str
    memory_format: str
    batch_size: int
    torch: str
    library: str
    codec: str
