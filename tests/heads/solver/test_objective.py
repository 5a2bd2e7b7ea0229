"""The objective along a line, and at zero."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from objectives import objective, some_parameters

from embedcache.heads.solver import objective as objective_module
from embedcache.heads.solver.objective import Objective
from embedcache.heads.solver.sides import Sides

WIDTH = 2 ** (objective_module._FARTHEST / 2**objective_module._HALVINGS)
"""By how much a length may be off."""


def searched(problem: Objective, start: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """Length of each problem."""
    slope = (problem(start).gradient * direction).sum((1, 2))
    return problem.length(start, direction, slope)


def slope(problem: Objective, at: torch.Tensor, direction: torch.Tensor) -> float:
    return float((problem(at).gradient * direction).sum())


@pytest.mark.parametrize("k", [2, 7])
def test_a_length_ends_where_the_objective_rises_again(k: int) -> None:
    """Within the width of the last halving of its range, on rows that are all looked at."""
    problem = objective(400, 12, k)
    start = some_parameters(problem)
    direction = -problem(start).gradient
    length = float(searched(problem, start, direction)[0])
    assert 2**-3 < length / WIDTH < length * WIDTH < 2**3
    before, after = (start + length * times * direction for times in (1 / WIDTH, WIDTH))
    assert slope(problem, before, direction) < 0 < slope(problem, after, direction)


@pytest.mark.parametrize("away", [1.0, 0.01])
def test_a_length_by_some_rows_is_nearly_that_by_all(
    away: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also next to the minimum, where the rows that are looked at have another one."""
    problem = objective(4000, 12, 3)
    minimum = problem.start()
    for _ in range(500):
        minimum = minimum - problem(minimum).gradient
    start = minimum + away * some_parameters(problem)
    direction = minimum - start
    monkeypatch.setattr(objective_module, "_SEARCHED", 4000)
    of_all = searched(problem, start, direction)
    monkeypatch.setattr(objective_module, "_SEARCHED", 400)
    torch.testing.assert_close(searched(problem, start, direction), of_all, rtol=0.2, atol=0.0)


def test_each_problem_has_a_length_of_its_own() -> None:
    """Half as far where the direction is twice as long; 1 where no row that is seen counts."""
    problem = objective(400, 12, 3)
    start = some_parameters(problem)
    direction = -problem(start).gradient
    nothing = torch.cat([problem.sides.weights, torch.zeros_like(problem.sides.weights)])
    two = [torch.cat([each, each]) for each in (problem.sides.shift, problem.sides.stretch)]
    several = replace(problem, sides=Sides(nothing, *two)).subset(torch.tensor([0, 0, 0]))
    several = replace(several, fold=torch.tensor([0, 0, 1]))
    slopes = torch.tensor([1.0, 2.0, 1.0]) * (problem(start).gradient * direction).sum()
    lengths = several.length(
        start.repeat(3, 1, 1), torch.cat([direction, 2 * direction, direction]), slopes
    )
    torch.testing.assert_close(lengths[1], lengths[0] / 2, rtol=0.1, atol=0.0)
    assert float(lengths[2]) == 1.0


@pytest.mark.parametrize("k", [2, 7])
def test_at_zero_value_and_gradient_are_those_next_to_it(k: int) -> None:
    """There no features are multiplied by weights: every answer is as likely as the others."""
    problem = objective(400, 12, k)
    sides = replace(
        problem.sides, shift=problem.sides.shift + 0.5, stretch=problem.sides.stretch * 3
    )
    problem = replace(problem, sides=sides)
    zero = problem.start()
    at, near = problem(zero), problem(zero + 1e-9)
    assert float(at.value[0]) == pytest.approx(math.log(k))
    torch.testing.assert_close(at.gradient, near.gradient)
