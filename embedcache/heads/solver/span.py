"""`into_span`: fewer columns for fewer rows than dimensions.

N is the number of rows, D the dimension.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["into_span"]


def into_span(
    centred: NDArray[np.floating],
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Rows (N, N) in a basis (D, N) of their own span, for N < D.

    The penalty keeps the optimum in that span and does not see the rotation: the same
    problem with N columns instead of D.
    """
    basis, triangle = np.linalg.qr(centred.T)
    return np.ascontiguousarray(triangle.T), basis
