"""Which rows a step sees: shuffled epochs laid end to end, cut into equal batches.

Every batch is full: at the end of an epoch it goes on with the next one. N is the number
of rows, B of rows in a batch.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["derived_seed", "rows_of_step"]


def derived_seed(*parts: int) -> int:
    """A seed for one use, 63 bits, from a run's seed and what the use is: step, row."""
    text = "/".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little") >> 1


def rows_of_step(seed: int, step: int, batch_size: int, rows: int) -> NDArray[np.int64]:
    """The rows of a step, (B,) int64 in 0 to N − 1; a pure function of its arguments.

    Args:
        seed: Of the run.
        step: From 0 on.
        batch_size: B.
        rows: N, 1 or more.
    """
    places = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs, within = np.divmod(places, rows)
    drawn = np.empty(batch_size, np.int64)
    for epoch in np.unique(epochs):
        chosen = epochs == epoch
        drawn[chosen] = _order(seed, int(epoch), rows)[within[chosen]]
    return drawn


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, rows: int) -> NDArray[np.int64]:
    """The order of an epoch, (N,)."""
    return np.random.default_rng(derived_seed(seed, epoch)).permutation(rows)
