"""The plan takes the most that fits into disk and time."""

from __future__ import annotations

import math
from typing import Any

import pytest

from embedcache.errors import UsageError
from embedcache.finetuning.splits import Split, tails
from embedcache.finetuning.tail_plan import TailPlan, plan_crossed, plan_tail, steps_within

SPLITS = (
    Split("early", (100, 10), 0.002, 0.024, 0.8),
    Split("middle", (50, 10), 0.006, 0.012, 0.4),
    Split("late", (10, 10), 0.009, 0.003, 0.1),
)


def _plan(**given: Any) -> TailPlan:
    usual: dict[str, Any] = {
        "steps": 500,
        "batch_size": 32,
        "reading": 0.001,
        "disk": 10**9,
        "seconds": 10_000,
    }
    return plan_tail(SPLITS, 1000, 200, **{**usual, **given})


def test_a_large_budget_takes_all_views_and_the_first_boundary() -> None:
    """Costs are those of the formulas, in bytes and seconds."""
    plan = _plan()
    assert (plan.split.boundary, plan.views, plan.steps) == ("early", 4, 500)
    assert plan.bytes == 4200 * 1000 * 2
    assert plan.caching == pytest.approx(4200 * 0.003)
    assert plan.training == pytest.approx(500 * 32 * 0.024)


def test_less_disk_takes_a_later_boundary() -> None:
    """The first that fits with all views, as long as it is worth training."""
    assert _plan(disk=5_000_000).split.boundary == "middle"
    assert _plan(disk=5_000_000).views == 4


def test_views_are_given_up_for_blocks_that_are_worth_it() -> None:
    """Fewer views of much beat four views of the last block."""
    plan = _plan(disk=2_500_000)
    assert (plan.split.boundary, plan.views) == ("middle", 2)
    plan = _plan(disk=300_000)
    assert (plan.split.boundary, plan.views) == ("late", 1)


def test_blocks_that_are_asked_for_come_before_views() -> None:
    """The largest share that fits in any number of views, else the next."""
    given = {"worth": (0.5, 0.15), "seconds": 400.0}
    assert (_plan(**given).split.boundary, _plan(**given).views) == ("early", 4)
    few = _plan(disk=3_000_000, **given)
    assert (few.split.boundary, few.views) == ("early", 1)
    assert _plan(disk=3_000_000, seconds=400.0).split.boundary == "middle"
    less = _plan(disk=2_000_000, **given)
    assert (less.split.boundary, less.views) == ("middle", 1)


def test_less_time_takes_fewer_steps_of_the_last_block() -> None:
    """Where 500 steps never fit, as many as do."""
    plan = _plan(seconds=36)
    assert (plan.split.boundary, plan.views) == ("late", 1)
    assert plan.steps == 250
    assert plan.caching + plan.training == pytest.approx(36)


def test_no_budget_is_any_length() -> None:
    """Only the disk counts."""
    assert _plan(seconds=math.inf) == _plan()
    assert _plan(seconds=math.inf, disk=5_000_000).split.boundary == "middle"


def test_given_views_are_kept() -> None:
    """However much of the network they leave to be trained."""
    plan = _plan(views=(3,), disk=700_000)
    assert (plan.split.boundary, plan.views) == ("late", 3)


def test_a_small_tail_has_as_many_views_as_fit() -> None:
    """Where all splits leave little to be trained, the first of them is worth views."""
    plan = plan_tail(
        SPLITS[2:], 1000, 0, steps=500, batch_size=32, reading=0.001, disk=500_000, seconds=math.inf
    )
    assert (plan.split.boundary, plan.views) == ("late", 2)


def test_the_tail_is_a_small_part_of_a_step() -> None:
    """All splits that leave no more, or the last if none does."""
    assert tails(SPLITS) == SPLITS[2:]
    assert tails(SPLITS[:2]) == SPLITS[1:2]


@pytest.mark.parametrize("seconds", [13, math.inf])
@pytest.mark.parametrize("disk", [200_000, 10**9])
def test_too_small_a_budget_says_what_would_do(seconds: float, disk: int) -> None:
    """No room for one view of the last block, or too few steps."""
    if disk == 200_000:
        with pytest.raises(UsageError, match="240,000, for 1,200 images"):
            _plan(seconds=seconds, disk=disk)
    elif seconds == 13:
        with pytest.raises(UsageError, match="--budget"):
            _plan(seconds=seconds)


def test_steps_are_those_that_fit_and_no_more_than_wanted() -> None:
    """Of half a second each."""
    assert steps_within(1_000, 0.5, 500) == 500
    assert steps_within(100, 0.5, 500) == 200


@pytest.mark.parametrize("seconds", [49.0, -3.0])
def test_too_few_steps_say_so(seconds: float) -> None:
    """Below a hundred a training says nothing; a time that is over leaves none."""
    with pytest.raises(UsageError, match="--budget"):
        steps_within(seconds, 0.5, 500)


def _crossed(seconds: float, disk: int = 10**9) -> TailPlan | None:
    return plan_crossed(
        SPLITS,
        200,
        (5, 4, 3),
        steps=125,
        batch_size=32,
        reading=0.001,
        disk=disk,
        seconds=seconds,
    )


def test_several_trainings_share_what_is_cached() -> None:
    """Every row in every view once, and the steps of all of them."""
    plan = _crossed(10_000)
    assert plan is not None
    assert (plan.trainings, plan.split.boundary, plan.views, plan.steps) == (5, "early", 4, 125)
    assert plan.images == 800
    assert plan.training == pytest.approx(5 * 125 * 32 * 0.024)


@pytest.mark.parametrize(
    ("seconds", "trainings", "steps"), [(250, 5, 125), (200, 4, 125), (150, 3, 125), (125, 3, 107)]
)
def test_less_time_takes_fewer_trainings_then_fewer_steps(
    seconds: float, trainings: int, steps: int
) -> None:
    """Never the last block alone, which shows little."""
    plan = _crossed(seconds)
    assert plan is not None
    assert (plan.trainings, plan.steps, plan.split.boundary) == (trainings, steps, "middle")
    assert plan.caching + plan.training <= seconds * (1 + 1e-9)


def test_too_little_time_or_disk_for_several_trainings() -> None:
    """Then there is no such plan."""
    assert _crossed(100) is None
    assert _crossed(10_000, disk=1000) is None
