"""How many trainings a pilot has time for."""

from __future__ import annotations

import pytest

from embedcache.finetuning.recipe import recipe_for
from embedcache.workflows.deadline import Deadline
from embedcache.workflows.pilot_plan import fitting, steps_crossed

RECIPE = recipe_for("efficientnet", 160)


@pytest.mark.parametrize(
    ("minutes", "trainings"), [(20.0, 5), (14.0, 5), (13.0, 4), (9.0, 3), (6.0, 3), (5.0, 1)]
)
def test_a_timed_step_says_how_many_fit(minutes: float, trainings: int) -> None:
    """Of 125 steps of a second, then three shorter ones of 100 at least, then a single one."""
    shorter = recipe_for("efficientnet", 160, steps=125)
    assert fitting((5, 4, 3, 1), shorter, 1.0, Deadline(minutes)) == trainings


def test_trainings_of_a_cross_fitted_pilot_are_short() -> None:
    """Twenty epochs, at least 100 steps, and no more than a training alone takes."""
    assert [steps_crossed(RECIPE, rows) for rows in (40, 200, 600, 5_000)] == [100, 125, 375, 500]
