"""A pilot: what it is asked, and what it found, as values.

The pilot itself, a short fine-tuning of the last blocks, needs images and a backbone
and lies elsewhere; here only its question and its answer are known.
V is the number of validation rows, T of training rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.paired import score_interval
from embedcache.evaluation.units import paired_difference

__all__ = ["BOUND_LEVEL", "Pilot", "PilotResult", "PilotTask"]

BOUND_LEVEL = 0.8
"""Of each one-sided bound of the gain: a pilot that errs costs minutes, not a backbone, and the
gate of the fine-tuning tests again at 95 %."""


@dataclass(frozen=True, eq=False)
class PilotTask:
    """What a pilot is asked: train on some rows, and be measured on others.

    Attributes:
        train: (T,) int64 rows of the cache.
        train_labels: (T,) int32 in 0 to K − 1.
        validation: (V,) int64 rows of the cache, none of them in `train`.
        validation_labels: (V,) int32 in 0 to K − 1.
        group: (V,) int32, which validation rows belong together; negative for none.
        classes: K names.
        c: Of the softmax regression that the pilot starts from, to be fitted on `train` alone.
        frozen_hits: (V,) bool, which validation rows that head has right.
        minutes: Budget, caching of activations included.
        seed: Of whatever is drawn.
    """

    train: NDArray[np.int64]
    train_labels: NDArray[np.int32]
    validation: NDArray[np.int64]
    validation_labels: NDArray[np.int32]
    group: NDArray[np.int32]
    classes: tuple[str, ...]
    c: float
    frozen_hits: NDArray[np.bool_]
    minutes: float
    seed: int


@dataclass(frozen=True)
class PilotResult:
    """What a pilot found on its validation rows.

    Attributes:
        rows: V.
        frozen_accuracy: Of the frozen head that was fitted on the same training rows.
        tuned_accuracy: After the pilot.
        gain: `tuned_accuracy − frozen_accuracy`.
        low: One-sided lower bound of the gain, at `BOUND_LEVEL`.
        high: One-sided upper bound, likewise.
        only_tuned: Rows that only the tuned model has right.
        only_frozen: Rows that only the frozen one has right.
        minutes: It took, caching of activations included.
        boundary: The block from which on it trained.
        views: Augmented views of each image that it trained on.
        steps: It took.
        wanted: Steps that it would have taken with more time.
    """

    rows: int
    frozen_accuracy: float
    tuned_accuracy: float
    gain: float
    low: float
    high: float
    only_tuned: int
    only_frozen: int
    minutes: float
    boundary: str
    views: int
    steps: int
    wanted: int

    @property
    def is_complete(self) -> bool:
        """Whether it took every step that it wanted."""
        return self.steps >= self.wanted

    @classmethod
    def of(
        cls,
        frozen_hits: NDArray[np.bool_],
        tuned_hits: NDArray[np.bool_],
        group: NDArray[np.int32],
        *,
        minutes: float,
        boundary: str,
        views: int,
        steps: int,
        wanted: int,
    ) -> PilotResult:
        """Compare both models on the same rows.

        Bounds are Tango's score bounds; where rows belong to groups, which err together,
        normal bounds with the error taken over groups.

        Args:
            frozen_hits: (V,) bool, V ≥ 1.
            tuned_hits: (V,) bool.
            group: (V,) int32 codes, negative for none.
            minutes: It took.
            boundary: The block from which on it trained.
            views: Augmented views of each image.
            steps: It took.
            wanted: Steps that it would have taken with more time.
        """
        rows, z = len(frozen_hits), NormalDist().inv_cdf(BOUND_LEVEL)
        only_tuned = int((tuned_hits & ~frozen_hits).sum())
        only_frozen = int((frozen_hits & ~tuned_hits).sum())
        gain, error = paired_difference(
            tuned_hits.astype(np.float64), frozen_hits.astype(np.float64), group
        )
        if (group >= 0).any():
            low, high = max(-1.0, gain - z * error), min(1.0, gain + z * error)
        else:
            interval = score_interval(only_tuned, only_frozen, rows, z)
            low, high = interval.low, interval.high
        return cls(
            rows,
            float(frozen_hits.mean()),
            float(tuned_hits.mean()),
            gain,
            low,
            high,
            only_tuned,
            only_frozen,
            minutes,
            boundary,
            views,
            steps,
            wanted,
        )


Pilot = Callable[[PilotTask], PilotResult]
"""Runs a pilot."""
