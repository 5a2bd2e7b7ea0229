"""`Prediction`: what a head says of one input.

K is the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Prediction"]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the head says of one input.

    Attributes:
        id: The image's path as it was given, or the file and row of features, as
            file-system bytes.
        probabilities: (K,) float64, or `None` for an input that was rejected.
        error: Why it was rejected, empty otherwise.
        abstained: Whether the head gives no answer, as its largest probability is below
            the threshold that it was fitted with.
    """

    id: bytes
    probabilities: NDArray[np.float64] | None
    error: str
    abstained: bool = False
