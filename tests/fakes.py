"""A backbone without weights that counts what passes through it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from builders import IDENTITY, NUMERICS
from numpy.typing import NDArray

from embedcache.inputs.golden import texture
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
    """Features are the mean colours of the image's halves; D = 6.

    Attributes:
        identity: What it claims to be.
        numerics: How it claims to compute.
        images: All prepared images that passed, but for the golden texture.
        batches: Sizes of the batches that they came in.
        prepared: How many encoded images were decoded, the golden one included.
        spoil: A value that takes the place of the first image's features in each batch.
        drift: Added to every feature, as by another machine.
        before_batch: Called before a batch of images passes, with how many passed already.
    """

    identity: Identity = IDENTITY
    numerics: Numerics = NUMERICS
    images: list[bytes] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    prepared: int = 0
    spoil: float | None = None
    drift: float = 0.0
    before_batch: Callable[[int], None] | None = None

    @property
    def spec(self) -> BackboneSpec:
        return BackboneSpec("fake/mean", self.identity, 6, 0, "")

    def prepare(self, data: bytes) -> NDArray[np.uint8]:
        self.prepared += 1
        return Preprocessing.from_identity(self.identity).apply(decode_rgb(data))

    def submit(self, batch: NDArray[np.uint8]) -> _Done:
        pixels = batch.astype(np.float32) / 255
        half = pixels.shape[1] // 2
        features = np.concatenate(
            [pixels[:, :half].mean((1, 2)), pixels[:, half:].mean((1, 2))], axis=1
        )
        features += self.drift
        if (batch == texture(*batch.shape[1:3])).all():
            return _Done(features)  # the golden record, or a warm-up
        if self.before_batch is not None:
            self.before_batch(len(self.batches))
        self.batches.append(len(batch))
        self.images += [image.tobytes() for image in batch]
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

    def features_of(self, data: bytes) -> NDArray[np.float32]:
        """What the image's row has to hold, (6,) float32, computed without being counted."""
        other = FakeBackbone(self.identity)
        return other.submit(other.prepare(data)[None]).result()[0]
