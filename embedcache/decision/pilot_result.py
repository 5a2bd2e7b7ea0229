"""A pilot: what it is asked, and what it found, as values.

The pilot itself, a short fine-tuning of the last blocks, needs images and a backbone
and lies elsewhere; here only its question and its answer are known. It validates one part of
the training rows, or, cross-fitted, all of them: each part by a training that lacks it.
N is the number of training rows, V of those that are validated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.folds import NEVER
from embedcache.evaluation.units import paired_difference

__all__ = ["BOUND_LEVEL", "DEPTH", "LUCK", "WHOLE", "Division", "Pilot", "PilotResult", "PilotTask"]

BOUND_LEVEL = 0.8
"""Of each one-sided bound of the gain: a pilot that errs costs minutes, not a backbone, and the
gate of the fine-tuning tests again at 95 %."""

DEPTH = 0.5
"""Share of a step of all blocks that a pilot's have to take for it to speak for them. *Seen*: from
blocks of 15 % or less on, EfficientNet-Lite0 gained 0 to 1 point on Fashion-MNIST and ELPV, where
all blocks gained up to 6; from the first block on, pilots gained 5.8 and 7.2 points on digits
where all blocks gained 6.7 and 7.0."""

WHOLE = 0.95
"""Share of its steps from which on a training counts as whole: the rates of the last ones are next
to nothing, and how many fit into the minutes is known to some per cent."""

LUCK = 1 / 8
"""By how much a training is better or worse than its like, in standard deviations, as a share of
the rows that change sides: a point and a half at the 12 % of ELPV, as the gate's simulation has it.
Answers of one training have it in common, and so have those of trainings that share rows."""


@dataclass(frozen=True, eq=False)
class Division:
    """Which training does without which rows.

    Attributes:
        part: (N,) int64, the training that a row is held out of; `NEVER` where all may have it.
        frozen: (N,) bool, which rows the frozen head has right when fitted without their part.
    """

    part: NDArray[np.int64]
    frozen: NDArray[np.bool_]

    @property
    def trainings(self) -> int:
        """How many it takes."""
        return int(self.part.max()) + 1

    @property
    def validated(self) -> NDArray[np.bool_]:
        """(N,) bool, V of them."""
        validated: NDArray[np.bool_] = self.part != NEVER
        return validated


@dataclass(frozen=True, eq=False)
class PilotTask:
    """What a pilot is asked: train on some rows, and be measured on others.

    Attributes:
        rows: (N,) int64 training rows of the cache; no other is read.
        labels: (N,) int32 in 0 to K − 1.
        group: (N,) int32, which rows belong together; negative for none.
        classes: K names.
        c: Of the softmax regression that each training starts from, to be fitted on its rows alone.
        trainings: Numbers of trainings to choose from, the best first; the last is tried at any
            length that says anything.
        divide: The rows for so many trainings.
        minutes: Budget, caching of activations included.
        seed: Of whatever is drawn.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int32]
    group: NDArray[np.int32]
    classes: tuple[str, ...]
    c: float
    trainings: tuple[int, ...]
    divide: Callable[[int], Division]
    minutes: float
    seed: int

    @property
    def enough(self) -> int:
        """The least number of trainings that sees enough."""
        return min(count for count in self.trainings if count > 1 or len(self.trainings) == 1)


@dataclass(frozen=True)
class PilotResult:
    """What a pilot found on its validation rows.

    Attributes:
        rows: V.
        trainings: That validated them, each a part.
        asked: Trainings that it takes to see enough.
        frozen_accuracy: Of the frozen head that was fitted on the same training rows.
        tuned_accuracy: After the pilot.
        gain: `tuned_accuracy − frozen_accuracy`.
        low: One-sided lower bound of the gain, at `BOUND_LEVEL`.
        high: One-sided upper bound, likewise.
        only_tuned: Rows that only the tuned model has right.
        only_frozen: Rows that only the frozen one has right.
        minutes: It took, caching of activations included.
        boundary: The block from which on it trained.
        share: That its steps take of steps that train all blocks.
        views: Augmented views of each image that it trained on.
        steps: Of the shortest training.
        wanted: Steps that each would have taken with more time.
        whole: Minutes that a training of all blocks would take, by the pilot's steps.
    """

    rows: int
    trainings: int
    asked: int
    frozen_accuracy: float
    tuned_accuracy: float
    gain: float
    low: float
    high: float
    only_tuned: int
    only_frozen: int
    minutes: float
    boundary: str
    share: float
    views: int
    steps: int
    wanted: int
    whole: float

    @property
    def is_complete(self) -> bool:
        """Whether it took every step that it wanted, and the trainings and blocks that it takes."""
        return self.missing <= 1

    @property
    def missing(self) -> float:
        """How many times as long it would have to be to be complete."""
        more = 1.0 if self.steps >= WHOLE * self.wanted else self.wanted / max(1, self.steps)
        return more * max(1.0, self.asked / self.trainings) * max(1.0, DEPTH / self.share)

    @classmethod
    def of(
        cls,
        frozen_hits: NDArray[np.bool_],
        tuned_hits: NDArray[np.bool_],
        group: NDArray[np.int32],
        *,
        trainings: int,
        asked: int,
        minutes: float,
        boundary: str,
        share: float,
        views: int,
        steps: int,
        wanted: int,
        whole: float,
    ) -> PilotResult:
        """Compare both models on the same rows.

        Bounds are normal, with three sources of error: rows, or groups where these err together;
        the luck of trainings, `LUCK`; and half a row more won and half a row more lost, without
        which few discordant rows prove too much (after Agresti & Min 2005, *Simple improved
        confidence intervals for comparing matched proportions*, Statistics in Medicine 24).
        tests/decision/test_pilot_result.py simulates how often a pilot that gains nothing on
        average seems to gain.

        Args:
            frozen_hits: (V,) bool, V ≥ 1.
            tuned_hits: (V,) bool.
            group: (V,) int32 codes, negative for none.
            trainings: That validated the rows, each a part.
            asked: Trainings that it takes to see enough.
            minutes: It took.
            boundary: The block from which on it trained.
            share: That its steps take of steps that train all blocks.
            views: Augmented views of each image.
            steps: Of the shortest training.
            wanted: Steps that each would have taken with more time.
            whole: Minutes that a training of all blocks would take.
        """
        rows, z = len(frozen_hits), NormalDist().inv_cdf(BOUND_LEVEL)
        only_tuned = int((tuned_hits & ~frozen_hits).sum())
        only_frozen = int((frozen_hits & ~tuned_hits).sum())
        gain, sampled = paired_difference(
            tuned_hits.astype(np.float64), frozen_hits.astype(np.float64), group
        )
        luck = LUCK * (only_tuned + only_frozen) / rows
        reach = z * math.hypot(sampled, luck, 1 / rows)
        return cls(
            rows,
            trainings,
            asked,
            float(frozen_hits.mean()),
            float(tuned_hits.mean()),
            gain,
            max(-1.0, gain - reach),
            min(1.0, gain + reach),
            only_tuned,
            only_frozen,
            minutes,
            boundary,
            share,
            views,
            steps,
            wanted,
            whole,
        )


Pilot = Callable[[PilotTask], PilotResult]
"""Runs a pilot."""
