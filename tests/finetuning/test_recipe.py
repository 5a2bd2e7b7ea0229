"""The recipe, the schedule, the optimiser's groups and the order of rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_training import RECIPE, freezing, small_model

from embedcache.finetuning.freezing import freeze
from embedcache.finetuning.optimiser import make_optimiser, set_rate
from embedcache.finetuning.recipe import RECIPES, recipe_for
from embedcache.finetuning.sampling import rows_of_step
from embedcache.finetuning.schedule import rate_factor


def test_steps_follow_from_rows() -> None:
    """Ten epochs, or 500 steps where those are more; a number of one's own counts."""
    assert recipe_for("efficientnet", 1_000).steps == 500
    assert recipe_for("efficientnet", 32_000).steps == 10_000
    assert recipe_for("efficientnet", 32_000, batch_size=64).steps == 5_000
    own = recipe_for("efficientnet", 32_000, steps=7, seed=None)
    assert own == replace(RECIPES["efficientnet"], steps=7)


def test_only_transformers_and_convnext_have_rates_by_depth() -> None:
    """The table's layer decays."""
    decays = {name: recipe.layer_decay for name, recipe in RECIPES.items()}
    assert decays == {"efficientnet": 1.0, "resnet": 1.0, "vit": 0.75, "convnext": 0.8 ** (1 / 3)}


@given(st.integers(1, 3000), st.floats(0, 1))
def test_the_rate_rises_then_falls(steps: int, warmup: float) -> None:
    """It is above 0 at every step, peaks at 1 after the warm-up and falls from there."""
    factors = [rate_factor(step, steps, warmup) for step in range(steps)]
    peak = int(np.argmax(factors))
    assert 0 < min(factors) <= max(factors) <= 1
    assert factors[:peak] == sorted(factors[:peak])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)


def test_groups() -> None:
    """Rates fall with depth, at every step alike; norms and biases don't decay."""
    parameters = freeze(small_model(), freezing(3))
    recipe = replace(RECIPE, layer_decay=0.5, steps=10)
    optimiser = make_optimiser(parameters, recipe, freezing(3).depth)
    set_rate(optimiser, recipe, 0)
    by_id = {id(each): group for group in optimiser.param_groups for each in group["params"]}
    for name, rate in (("head", 1e-2), ("tower.second.0", 5e-3), ("tower.stem.0", 1.25e-3)):
        assert by_id[id(parameters[f"{name}.weight"])]["lr"] == pytest.approx(rate)
        assert by_id[id(parameters[f"{name}.weight"])]["weight_decay"] == 0.05
        assert by_id[id(parameters[f"{name}.bias"])]["weight_decay"] == 0
    assert by_id[id(parameters["tower.first.1.weight"])]["weight_decay"] == 0  # a norm
    assert len(by_id) == len(parameters)


@given(st.integers(0, 9), st.integers(1, 9), st.integers(1, 30))
def test_every_row_comes_once_an_epoch(seed: int, batch: int, rows: int) -> None:
    """Over whole epochs all rows come equally often, in another order each time."""
    steps = rows  # that many steps are `batch` epochs
    drawn = np.concatenate([rows_of_step(seed, step, batch, rows) for step in range(steps)])
    assert Counter(drawn.tolist()) == dict.fromkeys(range(rows), batch)
    for epoch in range(batch):
        assert sorted(drawn[epoch * rows : (epoch + 1) * rows]) == list(range(rows))
    if rows > 8 and batch > 1:
        assert not np.array_equal(drawn[:rows], drawn[rows : 2 * rows])
