"""`Form`: how a fitted head turns features into logits, in numpy, from arrays alone.

N is the number of rows, D the embedding dimension, K the number of classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Form", "Shapes"]

Shapes = dict[str, tuple[str, tuple[int | None, ...]]]
"""numpy dtype and shape of each array by name; None for any length."""


class Form(Protocol):
    """A decision function.

    A row's logits must not depend, in any bit, on the rows that come with it. A
    matrix product of many rows does: it rounds a row otherwise at another place.

    Attributes:
        name: As `form` in `head.json`.
    """

    name: ClassVar[str]

    @property
    def dim(self) -> int:
        """D."""
        ...

    @property
    def k(self) -> int:
        """K."""
        ...

    def logits(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, K), for finite features (N, D)."""
        ...

    def cooled(self, temperature: float) -> Self:
        """The form whose logits are these over a temperature above 0."""
        ...

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The arrays that define it."""
        ...

    @classmethod
    def shapes(cls, k: int, dim: int) -> Shapes:
        """What `tensors` gives for K classes and D features."""
        ...

    @classmethod
    def of(cls, tensors: Mapping[str, NDArray[Any]]) -> Self:
        """The form, from finite arrays of `shapes`.

        Raises:
            ValueError: The arrays contradict each other.
        """
        ...
