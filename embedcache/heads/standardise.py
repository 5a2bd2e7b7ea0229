"""`Scaler`: mean and scale of each feature, from training rows only.

N is the number of rows, D the embedding dimension.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.features import BLOCK, Features

__all__ = ["FLOOR", "Scaler"]

FLOOR = 0.1
"""Least scale, as a share of the median one. Without a floor nearly dead features reach
thousands of standard deviations on unseen rows and one row decides the log-loss: on ELPV
with EfficientNet-Lite0, out-of-fold log-loss 0.431 without and 0.339 with it, at equal
accuracy."""

Float = TypeVar("Float", bound=np.floating)


@dataclass(frozen=True, eq=False)
class Scaler:
    """Standardisation, `(x − mean) / scale`.

    Attributes:
        mean: (D,) float64.
        scale: (D,) float64: the standard deviation, at least `FLOOR` times the median
            of those above zero; 1 for a constant feature.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(cls, features: NDArray[np.floating]) -> Scaler:
        """The scaler of the training rows, (N, D), N ≥ 1."""
        return cls.of(Features.of(features))

    @classmethod
    def of(cls, features: Features) -> Scaler:
        """The same of rows that may lie on disk, in two passes."""
        total, squares = np.zeros(features.dim), np.zeros(features.dim)
        low, high = np.full(features.dim, np.inf), np.full(features.dim, -np.inf)
        for _, block in features.blocks():
            total += block.sum(axis=0, dtype=np.float64)
            np.minimum(low, block.min(axis=0), out=low)
            np.maximum(high, block.max(axis=0), out=high)
        mean, constant = total / len(features), low == high
        for _, block in features.blocks():
            squares += np.square(block - mean).sum(axis=0)
        deviation = np.sqrt(squares / len(features))
        deviation[constant] = 1.0
        if constant.all():
            return cls(mean, deviation)
        floor = FLOOR * np.median(deviation[~constant])
        return cls(mean, np.where(constant, 1.0, np.maximum(deviation, floor)))

    def apply(self, features: NDArray[np.floating], dtype: type[Float]) -> NDArray[Float]:
        """Standardised rows, (N, D) of `dtype`."""
        scaled = np.empty(features.shape, dtype)
        for at in range(0, len(features), BLOCK):
            block = slice(at, at + BLOCK)
            scaled[block] = (features[block] - self.mean) / self.scale
        return scaled

    def fold(
        self, weights: NDArray[np.float64], intercept: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights (K, D) and intercepts (K,) for raw features, from those for scaled ones."""
        raw = weights / self.scale
        return raw, intercept - raw @ self.mean
