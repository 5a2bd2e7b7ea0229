"""`Landmarks`: a linear function of the similarities to a few rows.

N is the number of rows, D the embedding dimension, M the number of landmarks, K
the number of classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.forms.form import Shapes
from embedcache.heads.forms.linear import Linear

__all__ = ["Landmarks"]


@dataclass(frozen=True, eq=False)
class Landmarks:
    """`linear(exp(−gamma · ‖z − landmark‖²))`, z the standardised features.

    Attributes:
        mean: (D,) float64.
        scale: (D,) float64, above 0: z is `(x − mean) / scale`.
        landmarks: (M, D) float64, standardised.
        gamma: (1,) float64, above 0.
        linear: Of the M similarities; the normalisation of Nyström is folded in.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    gamma: NDArray[np.float64]
    linear: Linear
    name: ClassVar[str] = "landmarks"

    @property
    def dim(self) -> int:
        """D."""
        return len(self.mean)

    @property
    def k(self) -> int:
        """K."""
        return self.linear.k

    def logits(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, K)."""
        near = np.empty((len(features), len(self.landmarks)))
        landmarks = np.ascontiguousarray(self.landmarks)
        for row, given in enumerate(features):
            away = landmarks - (given - self.mean) / self.scale
            near[row] = np.square(away, out=away).sum(axis=1)
        near *= -self.gamma
        return self.linear.logits(np.exp(near, out=near))

    def cooled(self, temperature: float) -> Landmarks:
        """The form whose logits are these over a temperature."""
        return replace(self, linear=self.linear.cooled(temperature))

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The arrays that define it."""
        return {
            "mean": self.mean,
            "scale": self.scale,
            "landmarks": self.landmarks,
            "gamma": self.gamma,
            **self.linear.tensors(),
        }

    @classmethod
    def shapes(cls, k: int, dim: int) -> Shapes:
        """What `tensors` gives."""
        return {
            "mean": ("float64", (dim,)),
            "scale": ("float64", (dim,)),
            "landmarks": ("float64", (None, dim)),
            "gamma": ("float64", (1,)),
            "weights": ("float64", (k, None)),
            "intercept": ("float64", (k,)),
        }

    @classmethod
    def of(cls, tensors: Mapping[str, NDArray[Any]]) -> Landmarks:
        """The form, from arrays of `shapes`.

        Raises:
            ValueError: A scale is not above 0, or weights and landmarks differ in number.
        """
        linear = Linear.of(tensors)
        count = len(tensors["landmarks"])
        if linear.dim != count or count < 1:
            raise ValueError(f"{count} landmarks and weights for {linear.dim}")
        if not ((tensors["scale"] > 0).all() and (tensors["gamma"] > 0).all()):
            raise ValueError("a scale that is not above 0")
        return cls(
            tensors["mean"], tensors["scale"], tensors["landmarks"], tensors["gamma"], linear
        )
