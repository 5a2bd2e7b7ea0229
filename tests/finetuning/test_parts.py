"""Words for parts of a backbone."""

from __future__ import annotations

import pytest

from embedcache.errors import UsageError
from embedcache.finetuning.augment_names import TAIL_AUGMENTATIONS
from embedcache.finetuning.parts import unfrozen_blocks
from embedcache.inputs.views import RECIPES

NAMES = ("stem", "layer1", "layer2", "layer3")


def test_words() -> None:
    """`last-N` and `all` count blocks from the output; so does the tail, from its boundary."""
    assert unfrozen_blocks("all", "auto", NAMES) == 4
    assert unfrozen_blocks("last-2", "auto", NAMES) == 2
    assert unfrozen_blocks("last-4", "auto", NAMES) == 4
    assert unfrozen_blocks("tail", "layer2", NAMES) == 2
    assert unfrozen_blocks("tail", "last-3", NAMES) == 3


def test_the_costs_say_where_the_tail_begins() -> None:
    """Unless a person does."""
    assert unfrozen_blocks("tail", "auto", NAMES) is None


@pytest.mark.parametrize("word", ["", "last", "last-0", "last-5", "last--1", "ALL", "last-2 "])
def test_other_words_are_refused(word: str) -> None:
    """Anything else, or more than there is, names what would do."""
    with pytest.raises(UsageError, match="last-4"):
        unfrozen_blocks(word, "auto", NAMES)


@pytest.mark.parametrize("boundary", ["stem", "last-4", "layer4", ""])
def test_other_boundaries_are_refused(boundary: str) -> None:
    """Before the stem there is nothing to be cached; the error lists the blocks."""
    with pytest.raises(UsageError, match="last-3, or auto, or one of layer1, layer2, layer3"):
        unfrozen_blocks("tail", boundary, NAMES)


def test_every_recipe_of_views_can_be_asked_for() -> None:
    """The names for the command line are those of the recipes."""
    assert set(TAIL_AUGMENTATIONS) == {"none", *RECIPES}
