"""Ladders: their rungs and their words."""

import pytest

from embedcache.heads.ladder import Ladder, decades, described
from embedcache.heads.models.index import MODELS


def test_decades_rise_or_fall() -> None:
    """Half decades from the strongest regularisation, wherever the climb starts."""
    rising, falling = decades("C", -4, -2, 0, 2), decades("alpha", 4, 2, 0, -2)
    assert rising.values == (0.01, 0.0316228, 0.1, 0.316228, 1.0, 3.16228, 10.0)
    assert falling.values == (100.0, 31.6228, 10.0, 3.16228, 1.0, 0.316228, 0.1)
    assert [rising.values[at] for at in (rising.first, rising.top)] == [0.1, 1.0]
    assert [falling.values[at] for at in (falling.first, falling.top)] == [10.0, 1.0]


def test_given_values_keep_the_order_of_the_ladder() -> None:
    """The strongest regularisation first, each once, with the fixed parameters."""
    ladder = Ladder("k", (9.0, 1.0), fixed={"temperature": 0.1}).exactly((2.0, 5.0, 2.0))
    assert ladder.values == (5.0, 2.0)
    assert ladder.setting(0) == {"k": 5.0, "temperature": 0.1}
    assert decades("C", -4, -2, 0, 2).exactly((3.0, 1.0)).values == (1.0, 3.0)
    (value,) = Ladder("k", (9.0, 1.0)).exactly((3,)).values
    assert isinstance(value, float), "as it comes back from JSON"


@pytest.mark.parametrize("model", MODELS)
def test_every_model_starts_and_ends_on_its_ladder(model: str) -> None:
    """The climb begins below or at where it ends."""
    for ladder in MODELS[model].ladders:
        assert 0 <= ladder.first <= ladder.top < len(ladder.values)


def test_settings_in_words() -> None:
    """Three digits are enough for people."""
    assert described({"C": 0.0316228, "gamma*D": 1.0}) == "C 0.0316, gamma*D 1"
    assert described({}) == "no parameter"
