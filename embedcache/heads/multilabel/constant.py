"""Labels that say nothing: on every row, or on none.

n is the number of rows, K the number of labels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["constant_logits", "varying"]


def varying(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which labels some rows have and others lack, (K,) bool.

    Args:
        labels: (n, K), 1 where the row has the label, else 0; n may be 0.
    """
    highest, lowest = labels.max(axis=0, initial=0), labels.min(axis=0, initial=1)
    return np.asarray(lowest < highest)


def constant_logits(labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Log-odds of each label, (K,), whatever the features say.

    Half a row is added to either side, so they are finite where every row has the label,
    or none (Haldane 1956, *The estimation and significance of the logarithm of a ratio of
    frequencies*).

    Args:
        labels: (n, K), 1 where the row has the label, else 0.
    """
    having = labels.sum(axis=0, dtype=np.int64)
    odds: NDArray[np.float64] = np.log((having + 0.5) / (len(labels) - having + 0.5))
    return odds
