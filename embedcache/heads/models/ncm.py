"""`ncm`: the nearest class mean of standardised features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.model import Training
from embedcache.heads.models.closed import Closed
from embedcache.heads.standardise import Scaler

__all__ = ["Ncm"]


class Ncm(Closed):
    """−‖z − mean‖² / 2T, of which ‖z‖² is the same for all classes: a linear head.

    Mensink et al. (2013), *Distance-based image classification: generalizing to new
    classes at near-zero cost*.
    """

    name = "ncm"

    def solve(self, training: Training) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights (K, D) and intercepts (K,) for raw features."""
        raw = training.features.array()
        scaler = Scaler.fit(raw, training.features.widths)
        rows = scaler.apply(raw, np.float64)
        means = np.stack([rows[training.labels == k].mean(axis=0) for k in range(training.k)])
        return scaler.fold(means, -np.square(means).sum(axis=1) / 2)
