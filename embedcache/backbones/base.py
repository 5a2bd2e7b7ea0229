"""`Backbone`: what extraction and prediction ask of a frozen model.

B is the number of images in a batch, H × W the input size in pixels, D the
embedding dimension.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from embedcache.records.backbone import BackboneSpec
from embedcache.records.identity import Numerics

__all__ = ["Backbone", "BackboneRequest", "BackboneSpec", "Pending"]

_READING = {"layer", "view"}


@dataclass(frozen=True)
class BackboneRequest:
    """A backbone as a person asks for it; `None` means the weights' own value.

    Attributes:
        name: `SOURCE/MODEL[:WEIGHTS]`, `timm/resnet18.a1_in1k`.
        weights: A local weight file for the architecture, instead of published weights.
        image_size: Side of the square input in pixels.
        pooling: How tokens or positions become one vector, where the model allows a choice.
        precision: `float32`, `bfloat16` or `float16`, of the forward pass.
        stored_dtype: `float16` or `float32`, on disk.
        layer: Block whose flattened input is the feature, instead of the tower's output.
        view: How prepared images are augmented, as `inputs.views.View` writes it.
    """

    name: str
    weights: Path | None = None
    image_size: int | None = None
    pooling: str | None = None
    precision: str = "float32"
    stored_dtype: str = "float16"
    layer: str | None = None
    view: str | None = None

    def to_json(self) -> dict[str, str | int | None]:
        """The fields by name, the weight file as an absolute path; no layer or view, no key."""
        weights = None if self.weights is None else str(self.weights.absolute())
        value = {**asdict(self), "weights": weights}
        return {name: each for name, each in value.items() if name not in _READING or each}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> BackboneRequest:
        """The request, from what `to_json` gave.

        Raises:
            ValueError: A field is missing, unknown or of another type.
        """
        match {"layer": None, "view": None, **value}:
            case {
                "name": str(),
                "weights": str() | None as weights,
                "image_size": int() | None,
                "pooling": str() | None,
                "precision": str(),
                "stored_dtype": str(),
                "layer": str() | None,
                "view": str() | None,
            } if len(value.keys() - _READING) == 6:
                return cls(**{**value, "weights": None if weights is None else Path(weights)})
        raise ValueError(f"not a backbone request: {value!r}")


class Pending(Protocol):
    """A batch on its way through the backbone."""

    def result(self) -> NDArray[np.float32]:
        """Wait for the features, (B, D) float32."""
        ...


class Backbone(Protocol):
    """A frozen model, ready to embed."""

    @property
    def spec(self) -> BackboneSpec:
        """What it is."""
        ...

    @property
    def numerics(self) -> Numerics:
        """How it computes at present; its batch size may fall when memory runs out."""
        ...

    def prepare(self, data: bytes) -> NDArray[np.uint8]:
        """One encoded input as the model's input before normalisation, (H, W, 3) uint8.

        Safe to call from several threads.

        Raises:
            InputRejectedError: The bytes are not an input that this backbone can see.
        """
        ...

    def submit(self, batch: NDArray[np.uint8]) -> Pending:
        """Start embedding a batch, (B, H, W, 3) uint8, B up to the batch size.

        The batch is padded to the full batch size, so that a row's value does
        not depend on how many others came with it.

        Raises:
            OutOfMemoryError: Even a batch of one does not fit.
        """
        ...
