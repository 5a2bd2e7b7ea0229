"""Where to split a backbone, and how many views to cache, within a budget.

`plan_tail` is for one training, `plan_crossed` for several that share what is cached.
T is the number of training rows, V of views.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from embedcache.errors import BudgetError
from embedcache.finetuning.splits import Split

__all__ = [
    "FEWEST_STEPS",
    "VIEWS",
    "WORTH",
    "TailPlan",
    "plan_crossed",
    "plan_tail",
    "steps_within",
]

VIEWS = (4, 2, 1)

WORTH = 0.15
"""Share of a step of the whole tower that is worth more than further views of less of it; where no
split leaves that much, it is the first one."""

_ITEM = 2
"""Bytes of a number on disk, float16."""

FEWEST_STEPS = 100
"""Below that a training says nothing."""


@dataclass(frozen=True)
class TailPlan:
    """What a training of the tail will cost.

    Attributes:
        split: Where the backbone is split.
        views: V, the plain image included.
        steps: Of each training.
        images: Whose activations are cached, each view counted.
        bytes: Of activations on disk; twice that while the cache is assembled.
        caching: Seconds, expected.
        training: Seconds, expected, of all trainings.
        trainings: Number of them.
    """

    split: Split
    views: int
    steps: int
    images: int
    bytes: int
    caching: float
    training: float
    trainings: int = 1


def plan_tail(
    splits: Sequence[Split],
    train: int,
    validation: int,
    *,
    views: Sequence[int] = VIEWS,
    steps: int,
    batch_size: int,
    reading: float,
    disk: int,
    seconds: float,
    worth: Sequence[float] = (WORTH,),
) -> TailPlan:
    """The most that fits: as many views as may be, and as many blocks as they leave room for.

    More views of a share of the network that is not worth training are not taken; where
    nothing fits with all steps, the last block is trained for as many as fit.

    Args:
        splits: From `profile`, in the order of the blocks.
        train: T.
        validation: Rows that are cached in the plain view only.
        views: Numbers of them to choose from, falling.
        steps: Of training.
        batch_size: Rows of a step.
        reading: Seconds to read and decode an image.
        disk: Bytes that may be used.
        seconds: For caching and training together.
        worth: Shares of a step that are worth training, falling: the first that fits.

    Raises:
        BudgetError: Not even the last block fits.
    """
    fewest = views[-1]
    shares = _worth(splits, worth)
    choices = [(split, count) for most in shares for count in views for split in most]
    for split, count in [*choices, *((split, fewest) for split in splits)]:
        plan = _cost(split, count, train, validation, steps, batch_size, reading)
        if plan.bytes <= disk and plan.caching + plan.training <= seconds:
            return plan
    plan = _cost(splits[-1], fewest, train, validation, steps, batch_size, reading)
    if plan.bytes > disk:
        raise BudgetError(
            "the disk does not suffice for the activations of these blocks",
            got=f"{disk:,} bytes that may be used",
            expected=f"{plan.bytes:,}, for {plan.images:,} images",
            hint="free some space, or take fewer views, fewer rows or a later block",
        )
    fitting = int(min(steps, steps * (seconds - plan.caching) / plan.training))
    if fitting < FEWEST_STEPS:
        needed = plan.caching + plan.training * FEWEST_STEPS / steps
        raise BudgetError(
            "the budget does not suffice to train the last block from cached activations",
            got=f"{seconds / 60:.1f} minutes",
            expected=f"at least {needed / 60:.1f} minutes",
            hint="raise --budget, or take fewer rows",
        )
    return _cost(splits[-1], fewest, train, validation, fitting, batch_size, reading)


def plan_crossed(
    splits: Sequence[Split],
    rows: int,
    trainings: Sequence[int],
    *,
    steps: int,
    batch_size: int,
    reading: float,
    disk: int,
    seconds: float,
    worth: Sequence[float] = (WORTH,),
) -> TailPlan | None:
    """The most trainings that fit at full length, else the fewest, shortened; None if neither fits.

    At full length there are as many views as fit, as in `plan_tail`. A training of a share of the
    network that is not worth it is no choice: shorter ones of more blocks show more.

    Args:
        splits: From `profile`, in the order of the blocks.
        rows: All are cached in every view: each is a training row of some training.
        trainings: Numbers of them to choose from, falling.
        steps: Of each training, at full length.
        batch_size: Rows of a step.
        reading: Seconds to read and decode an image.
        disk: Bytes that may be used.
        seconds: For caching and trainings together.
        worth: Shares of a step that are worth training, falling: the first that fits.
    """
    shares = _worth(splits, worth)
    for most, count, views in product(shares, trainings, VIEWS):
        for split in most:
            plan = _cost(split, views, rows, 0, steps, batch_size, reading, count)
            if plan.bytes <= disk and plan.caching + plan.training <= seconds:
                return plan
    last = shares[-1][-1]
    plan = _cost(last, VIEWS[-1], rows, 0, steps, batch_size, reading, trainings[-1])
    fitting = int(steps * (seconds - plan.caching) / plan.training)
    if plan.bytes > disk or fitting < FEWEST_STEPS:
        return None
    return replace(plan, steps=fitting, training=plan.training * fitting / steps)


def _worth(splits: Sequence[Split], shares: Sequence[float]) -> list[list[Split]]:
    """Splits that leave each share, or as much as there is."""
    most = splits[0].share
    return [[split for split in splits if split.share >= min(share, most)] for share in shares]


def steps_within(seconds: float, step: float, wanted: int) -> int:
    """Steps of a training that has so much time.

    Args:
        seconds: That are left.
        step: Seconds of one, as measured.
        wanted: No more than this.

    Raises:
        BudgetError: Too few to say anything.
    """
    fitting = int(min(wanted, seconds / step))
    if fitting < min(FEWEST_STEPS, wanted):
        raise BudgetError(
            "the budget does not suffice to train from the cached activations",
            got=f"{max(fitting, 0)} steps of {1000 * step:.0f} ms in what is left of it",
            expected=f"at least {FEWEST_STEPS}",
            hint="raise --budget: activations that are cached are not computed again",
        )
    return fitting


def _cost(
    split: Split,
    views: int,
    train: int,
    validation: int,
    steps: int,
    batch_size: int,
    reading: float,
    trainings: int = 1,
) -> TailPlan:
    images = views * train + validation
    return TailPlan(
        split,
        views,
        steps,
        images,
        images * split.elements * _ITEM,
        images * (reading + split.lower),
        trainings * steps * batch_size * split.upper,
        trainings,
    )
