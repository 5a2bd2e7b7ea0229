"""`Cosine`: a linear function of features of length 1.

N is the number of rows, D the embedding dimension, K the number of classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.forms.form import Shapes
from embedcache.heads.forms.linear import Linear
from embedcache.heads.forms.neighbours import normalised

__all__ = ["Cosine"]


@dataclass(frozen=True, eq=False)
class Cosine:
    """`linear(x / ‖x‖)`: with rows of length s for weights, s times the cosine.

    Attributes:
        linear: Of the features at length 1.
    """

    linear: Linear
    name: ClassVar[str] = "cosine"

    @property
    def dim(self) -> int:
        """D."""
        return self.linear.dim

    @property
    def k(self) -> int:
        """K."""
        return self.linear.k

    def logits(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, K); a row of zeros stays."""
        return self.linear.logits(normalised(features))

    def cooled(self, temperature: float) -> Cosine:
        """The form whose logits are these over a temperature."""
        return Cosine(self.linear.cooled(temperature))

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The arrays that define it."""
        return self.linear.tensors()

    @classmethod
    def shapes(cls, k: int, dim: int) -> Shapes:
        """What `tensors` gives."""
        return Linear.shapes(k, dim)

    @classmethod
    def of(cls, tensors: Mapping[str, NDArray[Any]]) -> Cosine:
        """The form, from arrays of `shapes`."""
        return cls(Linear.of(tensors))
