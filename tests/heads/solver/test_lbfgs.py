"""The memory of L-BFGS, and what it knows without a pass over the rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from objectives import objective, some_parameters

from embedcache import SoftmaxRegression
from embedcache.heads.solver import lbfgs
from embedcache.heads.solver.lbfgs import Lbfgs


@pytest.mark.parametrize(("free", "kept"), [(2**22, 10), (0, 4)])
def test_steps_of_many_classes_take_no_more_memory_than_a_share_of_the_features(
    free: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten pairs where they cost nothing, four where as many would be larger than the features."""
    monkeypatch.setattr(lbfgs, "_FREE", free)
    most, remember = [0], Lbfgs._remember

    def counted(self: Lbfgs, *change: torch.Tensor) -> None:
        remember(self, *change)
        most[0] = max(most[0], len(self._pairs))

    monkeypatch.setattr(Lbfgs, "_remember", counted)
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(300, 200)).astype(np.float32), np.arange(300) % 60
    assert SoftmaxRegression(C=1.0).fit(features, labels).converged_
    assert most[0] == kept


def same(gradient: torch.Tensor) -> torch.Tensor:
    """No preconditioner."""
    return gradient


def stepped(k: int, steps: int) -> Lbfgs:
    """Two problems, some steps from somewhere."""
    problem = objective(200, 12, k).subset(torch.tensor([0, 0]))
    state = Lbfgs(problem, some_parameters(problem))
    for _ in range(steps):
        state.iterate(same)
    return state


@pytest.mark.parametrize("k", [2, 5])
@pytest.mark.parametrize("times", [0.01, 100.0])
def test_at_another_c_value_and_gradient_are_those_that_a_pass_would_find(
    k: int, times: float
) -> None:
    """And so are the changes of the gradient along the steps that it remembers."""
    state = stepped(k, 4)
    other = replace(state.objective, c=state.objective.c * times)
    points = [state.parameters]
    for step, _, rho in reversed(state._pairs):
        points.append(points[-1] - step * (rho > 0)[:, None, None])
    passes = state.passes
    state.at(other)
    expected = other(state.parameters)
    torch.testing.assert_close(state.value, expected.value)
    torch.testing.assert_close(state.gradient, expected.gradient)
    assert state.passes == passes
    taken = 0
    for number, (_, change, rho) in enumerate(reversed(state._pairs)):
        after, before = (other(point).gradient for point in points[number : number + 2])
        torch.testing.assert_close(change[rho > 0], (after - before)[rho > 0])
        taken += int((rho > 0).sum())
    assert taken > 2


def test_what_is_forgotten_leaves_it_where_it_stands() -> None:
    """The next direction is then the preconditioned gradient alone."""
    state = stepped(3, 4)
    before = state.parameters.clone()
    state.forget()
    state.aim(same)
    assert state._direction is not None
    torch.testing.assert_close(state._direction, -state.gradient)
    assert torch.equal(state.parameters, before)
