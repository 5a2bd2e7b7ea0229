"""What a pilot will cost, and how many trainings there is time for.

N is the number of training rows.
"""

from __future__ import annotations

import math
import shutil
import time
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from embedcache.decision.pilot_result import DEPTH, PilotTask
from embedcache.extraction.loading import default_workers
from embedcache.finetuning.tail_plan import FEWEST_STEPS, WORTH, TailPlan, plan_crossed, plan_tail
from embedcache.inputs.files import read_regular
from embedcache.inputs.images import decode_rgb
from embedcache.store.cache import FeatureCache
from embedcache.workflows.deadline import Deadline

if TYPE_CHECKING:
    from embedcache.backbones.architecture import Architecture
    from embedcache.finetuning.recipe import Recipe

__all__ = ["TRAINING", "fitting", "plan_pilot", "steps_crossed"]

TRAINING = 0.9
"""Share of the time that is left for training; the rest is for measuring."""

_WHOLE = 0.75
"""Share of the time that several trainings may take as timed: slower steps then cost none of them,
and a training that lacks steps cannot say that there is nothing to gain."""

_MOST_DISK = 4 << 30
_TIMED = 8
"""Images read to see how long that takes."""

_EPOCHS = 20
"""Of each training where there are several, which are for few rows: 100 steps on 160 digits, from
blocks.5.0 of an EfficientNet-Lite0 on, won 7 rows of 200 and lost 1."""


def plan_pilot(
    features: FeatureCache,
    task: PilotTask,
    validated: int,
    architecture: Architecture,
    recipe: Recipe,
    deadline: Deadline,
) -> TailPlan:
    """Of several trainings, or of one where the time is too short for them.

    Args:
        features: The cache.
        task: What the pilot is asked.
        validated: Rows that the one would lack.
        architecture: The backbone, where it is trained and as it is.
        recipe: Of the one, at full length.
        deadline: Of all.

    Raises:
        BudgetError: Not even that one fits.
    """
    from embedcache.finetuning.splits import profile

    size, embedding = architecture.preprocessing.image_size, features.identity.precision
    splits = profile(architecture.module, size, embedding, recipe.precision)
    costs: dict[str, Any] = {
        "steps": recipe.steps,
        "batch_size": recipe.batch_size,
        # As many threads read as there are cores.
        "reading": _reading(features, task.rows[:_TIMED], architecture) / default_workers(),
        # Shards and the file that is assembled of them exist together for a moment.
        "disk": min(_MOST_DISK, shutil.disk_usage(features.path.parent).free // 4),
        "seconds": TRAINING * deadline.left,
        "worth": (DEPTH, WORTH),
    }
    *several, _one = task.trainings
    if several:
        shorter = {**costs, "steps": steps_crossed(recipe, len(task.rows))}
        if plan := plan_crossed(splits, len(task.rows), several, **shorter):
            return plan
    return plan_tail(splits, len(task.rows) - validated, validated, **costs)


def steps_crossed(recipe: Recipe, rows: int) -> int:
    """Of each training where there are several, at full length.

    Args:
        recipe: Of one training alone.
        rows: N.
    """
    return min(recipe.steps, max(FEWEST_STEPS, math.ceil(_EPOCHS * rows / recipe.batch_size)))


def _reading(features: FeatureCache, rows: NDArray[np.int64], architecture: Architecture) -> float:
    """Seconds to read, decode and prepare an image."""
    from embedcache.workflows.origin import manifest_of

    manifest = manifest_of(features)
    seconds = []
    for row in rows:
        started = time.perf_counter()
        architecture.preprocessing.apply(decode_rgb(read_regular(manifest.path(int(row)))))
        seconds.append(time.perf_counter() - started)
    return median(seconds)


def fitting(trainings: tuple[int, ...], recipe: Recipe, step: float, deadline: Deadline) -> int:
    """The most trainings that there is time for, now that a step has been timed.

    The fewest of several where none fits at full length but shortened ones do, else one.

    Args:
        trainings: Numbers of them, falling to 1.
        recipe: Of each of several, at full length.
        step: Seconds of one.
        deadline: Of all.
    """
    steps = deadline.left / step
    *several, one = trainings
    whole = [count for count in several if count * recipe.steps <= _WHOLE * steps]
    short = [several[-1]] if several[-1] * FEWEST_STEPS <= TRAINING * steps else []
    return (whole + short + [one])[0]
