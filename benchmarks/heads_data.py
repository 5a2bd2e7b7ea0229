"""`Data` for benchmarks of heads: synthetic ones, or the rows of a cache.

N is the number of rows, D the number of features, K the number of classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from embedcache.heads.solver.targets import Targets

__all__ = ["Data", "cached", "synthetic"]


@dataclass(frozen=True, eq=False)
class Data:
    """Features (N, D) float32 and labels (N,) in 0 to K − 1."""

    name: str
    features: np.ndarray
    labels: np.ndarray

    @property
    def k(self) -> int:
        """Number of classes."""
        return int(self.labels.max()) + 1

    def targets(self) -> Callable[[torch.device, torch.dtype], Targets]:
        """What the solver makes its targets with."""
        return partial(Targets.from_codes, self.labels, self.k)


def synthetic(shape: str) -> Data:
    """N×D×K: class means and noise with the decaying spectrum of network features.

    One label in twenty is wrong, so that the best C is not beyond every bound.
    """
    n, d, k = (int(side) for side in shape.split("x"))
    rng = np.random.default_rng(0)
    spectrum = (1 + np.arange(d)) ** -0.5
    rotation = np.linalg.qr(rng.normal(size=(d, d)))[0]
    labels = rng.integers(k, size=n)
    means = rng.normal(size=(k, d)) * spectrum
    features = np.empty((n, d), np.float32)
    for at in range(0, n, 1024):
        block = slice(at, min(at + 1024, n))
        noise = rng.normal(size=(block.stop - at, d)) * spectrum * 6
        features[block] = (means[labels[block]] + noise) @ rotation
    wrong = rng.random(n) < 0.05
    labels[wrong] = rng.integers(k, size=int(wrong.sum()))
    return Data(f"synthetic {shape}", features, labels)


def cached(path: str, rows: int | None = None) -> Data:
    """The labelled rows of a cache, or so many of them, drawn once and for all."""
    from embedcache.store.cache import FeatureCache

    with FeatureCache(path) as cache:
        labelled = np.flatnonzero(cache.y >= 0)
        if rows is not None and rows < len(labelled):
            labelled = np.sort(np.random.default_rng(0).permutation(labelled)[:rows])
        features = np.asarray(cache.X[labelled], np.float32)
        labels = np.unique(cache.y[labelled], return_inverse=True)[1]
    return Data(f"{path.rsplit('/', 2)[-2]} {features.shape}", features, labels)
