"""The parity check: image → preprocessing → backbone → head gives the cached logits.

Whatever went wrong on the way (another mean, another resize, swapped classes, a backbone
that was loaded in part), a training would start from somewhere else than the head that was
measured, and nobody would notice. n is the number of rows compared, D the embedding
dimension, K the number of classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import DriftError
from embedcache.heads.forms.linear import Linear

__all__ = ["TOLERANCES", "check_parity", "parity_gap"]

TOLERANCES = {"float32": 0.02, "bfloat16": 0.2, "float16": 0.05}
"""Largest gap by the backbone's precision. In float32, tests/finetuning/test_parity.py holds that
EfficientNet-Lite0 stays within a tenth of it as it should be, and passes it with another mean,
deviation or resize, swapped classes, or a block left random. The others are guesses: float32's
limit, widened for fewer digits."""


def parity_gap(logits: NDArray[np.floating], features: NDArray[np.floating], head: Linear) -> float:
    """The largest difference between logits, in units of what moves a logit.

    The unit of a row and class is the root of the sum of (w·x)² over the dimensions: what
    the logit would change by if every summand changed by its own size, at random. So a gap
    of 0.001 means features that are off by about a thousandth.

    Args:
        logits: (n, K) of the images.
        features: (n, D), as cached.
        head: Of these features.
    """
    rows = features.astype(np.float64)
    unit = np.sqrt(rows**2 @ (head.weights**2).T)
    differences = np.abs(logits - head.logits(rows))
    return float((differences / np.maximum(unit, np.finfo(np.float64).tiny)).max())


def check_parity(
    logits: NDArray[np.floating],
    features: NDArray[np.floating],
    head: Linear,
    precision: str,
) -> float:
    """Refuse to train a model that does not start as the cached head.

    Args:
        logits: (n, K) of the images, by the model.
        features: (n, D), as cached.
        head: That the model starts with.
        precision: Of the backbone.

    Returns:
        The gap.

    Raises:
        DriftError: It is above the tolerance.
    """
    gap, limit = parity_gap(logits, features, head), TOLERANCES[precision]
    if not gap <= limit:  # NaN is none either
        raise DriftError(
            "the images do not lead to the cached logits: fine-tuning would start elsewhere",
            got=f"a gap of {gap:.3g}, over {len(logits)} images",
            expected=f"at most {limit:.3g} in {precision}",
            hint="embedcache verify says whether this environment or the cache has drifted",
        )
    return gap
