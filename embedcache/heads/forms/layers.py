"""`Layers`: one hidden layer of rectified units, then one linear layer.

N is the number of rows, D the embedding dimension, U the number of hidden units,
K the number of classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.forms.form import Shapes
from embedcache.heads.forms.linear import Linear

__all__ = ["Layers"]


@dataclass(frozen=True, eq=False)
class Layers:
    """`output · max(hidden(x), 0)`.

    Attributes:
        hidden: (U, D) weights and (U,) intercepts, for raw features.
        output: (K, U) weights and (K,) intercepts.
    """

    hidden: Linear
    output: Linear
    name: ClassVar[str] = "layers"

    @property
    def dim(self) -> int:
        """D."""
        return self.hidden.dim

    @property
    def k(self) -> int:
        """K."""
        return self.output.k

    def logits(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, K)."""
        return self.output.logits(np.maximum(self.hidden.logits(features), 0))

    def cooled(self, temperature: float) -> Layers:
        """The form whose logits are these over a temperature."""
        return Layers(self.hidden, self.output.cooled(temperature))

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The arrays that define it."""
        return {
            "hidden.weights": self.hidden.weights,
            "hidden.intercept": self.hidden.intercept,
            "output.weights": self.output.weights,
            "output.intercept": self.output.intercept,
        }

    @classmethod
    def shapes(cls, k: int, dim: int) -> Shapes:
        """What `tensors` gives."""
        return {
            "hidden.weights": ("float64", (None, dim)),
            "hidden.intercept": ("float64", (None,)),
            "output.weights": ("float64", (k, None)),
            "output.intercept": ("float64", (k,)),
        }

    @classmethod
    def of(cls, tensors: Mapping[str, NDArray[Any]]) -> Layers:
        """The form, from arrays of `shapes`.

        Raises:
            ValueError: The layers have different numbers of hidden units, or none.
        """
        hidden = Linear(tensors["hidden.weights"], tensors["hidden.intercept"])
        output = Linear(tensors["output.weights"], tensors["output.intercept"])
        if len({hidden.k, len(hidden.intercept), output.dim}) > 1 or hidden.k < 1:
            raise ValueError("layers that do not fit together")
        return cls(hidden, output)
