"""`Linear`: one weight vector and one intercept for each class.

N is the number of rows, D the embedding dimension, K the number of classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.forms.form import Shapes

__all__ = ["Linear"]


@dataclass(frozen=True, eq=False)
class Linear:
    """`weights · x + intercept`.

    Attributes:
        weights: (K, D) float64, for raw features: the scaler is folded in.
        intercept: (K,) float64.
    """

    weights: NDArray[np.float64]
    intercept: NDArray[np.float64]
    name: ClassVar[str] = "linear"

    @property
    def dim(self) -> int:
        """D."""
        return int(self.weights.shape[1])

    @property
    def k(self) -> int:
        """K."""
        return len(self.weights)

    def logits(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, K): each row one product of the same shape, at a fifth of a block's speed."""
        weights = np.ascontiguousarray(self.weights)  # as they will be loaded: order rounds, too
        logits = np.empty((len(features), self.k))
        row = np.empty(self.dim)  # always at the same place: alignment changes roundings
        for index, given in enumerate(features):
            row[:] = given
            np.matmul(weights, row, out=logits[index])
        return logits + self.intercept

    def cooled(self, temperature: float) -> Linear:
        """The form whose logits are these over a temperature."""
        return Linear(self.weights / temperature, self.intercept / temperature)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The arrays that define it."""
        return {"weights": self.weights, "intercept": self.intercept}

    @classmethod
    def shapes(cls, k: int, dim: int) -> Shapes:
        """What `tensors` gives."""
        return {"weights": ("float64", (k, dim)), "intercept": ("float64", (k,))}

    @classmethod
    def of(cls, tensors: Mapping[str, NDArray[Any]]) -> Linear:
        """The form, from arrays of `shapes`."""
        return cls(tensors["weights"], tensors["intercept"])
