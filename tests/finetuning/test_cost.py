"""What a training costs, and what a budget makes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_training import RECIPE, RandomBatches, freezing, small_model

from embedcache.errors import DivergedError, UsageError
from embedcache.finetuning.cost import Cost, fit_into, measure_step
from embedcache.finetuning.rates import Trial, best_rate

LONG = replace(RECIPE, steps=2_000)


def test_measuring_changes_nothing() -> None:
    """Real steps at a rate of 0 leave the model, and the generator, bit-equal."""
    model = small_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    assert measure_step(model, RandomBatches(), LONG, freezing(3), 0) > 0
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_parts_of_the_cost() -> None:
    """Steps, five looks, eleven of the sweep, and trials of a quarter with a look each."""
    assert Cost(2.0, 10.0).seconds(100) == 360
    assert Cost(2.0, 10.0, trials=3).seconds(100) == 360 + 3 * (50 + 10)


def test_a_budget_shortens() -> None:
    """To as many steps as fit, or not at all where all do."""
    cost = Cost(0.5, 6.0)
    assert fit_into(None, LONG, cost) == LONG
    assert fit_into(60, LONG, cost) == LONG
    short = fit_into(10, LONG, cost)
    assert short == replace(LONG, steps=1_008)
    assert cost.seconds(short.steps) <= 600


def test_a_budget_below_the_shortest_training_is_refused() -> None:
    """With the minutes that would do; fewer steps on request are the person's own choice."""
    with pytest.raises(UsageError, match=r"500 steps, about 5\.8 minutes"):
        fit_into(3, LONG, Cost(0.5, 6.0))
    own = replace(LONG, steps=100)
    assert fit_into(3, own, Cost(0.5, 6.0)) == own


def test_the_best_rate_has_the_lowest_log_loss() -> None:
    """What diverged is out; if all did, an error says so."""
    trials = (Trial(1e-4, 0.5, 0.8, 1.0), Trial(3e-4, 0.4, 0.7, 1.0), Trial(9e-4, None, None, 1.0))
    assert best_rate(trials) == 3e-4
    with pytest.raises(DivergedError, match="every rate"):
        best_rate(trials[2:])
