"""A backbone without weights that counts what passes through it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from builders import IDENTITY, NUMERICS
from numpy.typing import NDArray

from embedcache.inputs.images import decode_rgb
from embedcache.inputs.preprocess import Preprocessing
from embedcache.records.backbone import BackboneSpec
from embedcache.records.identity import Identity, Numerics


@dataclass
class _Done:
    features: NDArray[np.float32]

    def result(self) -> NDArray[np.float32]:
        return self.features


@dataclass
class FakeBackbone:
    """Features are the mean colours of the image's halves; D = 6."""

    identity: Identity = IDENTITY
    numerics: Numerics = NUMERICS
    images: list[bytes] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    spoil: float | None = None

    @property
    def spec(self) -> BackboneSpec:
        return BackboneSpec("fake/mean", self.identity, 6, 0, "")

    def prepare(self, data: bytes) -> NDArray[np.uint8]:
        return Preprocessing.from_identity(self.identity).apply(decode_rgb(data))

    def submit(self, batch: NDArray[np.uint8]) -> _Done:
        self.batches.append(len(batch))
        self.images += [image.tobytes() for image in batch]
        pixels = batch.astype(np.float32) / 255
        half = pixels.shape[1] // 2
        features = np.concatenate(
            [pixels[:, :half].mean((1, 2)), pixels[:, half:].mean((1, 2))], axis=1
        )
        if self.spoil is not None:
            features[0] = self.spoil
        return _Done(features)

    @property
    def passes(self) -> int:
        """Images that were embedded, the golden record and warm-ups left out."""
        return len(self.images)

    def with_numerics(self, **changes: str | int) -> FakeBackbone:
        """The same backbone on another machine."""
        return FakeBackbone(self.identity, replace(self.numerics, **changes))
