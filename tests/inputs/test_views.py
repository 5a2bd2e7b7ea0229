"""A view is a pure function of the image's bytes and its own fields."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import builders
import numpy as np
import pytest
from numpy.typing import NDArray

from embedcache.inputs.golden import texture
from embedcache.inputs.views import RECIPES, View

PIXELS = texture(40, 56)


def _view(view: View, data: bytes = b"some bytes") -> NDArray[np.uint8]:
    return view.apply(PIXELS, data)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_view_is_the_same_in_every_order_and_on_every_thread(recipe: str) -> None:
    """What was drawn before, and what other threads draw, changes nothing."""
    views = [View(recipe, number, 0) for number in range(1, 25)]
    alone = [_view(view) for view in views]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(_view, reversed(views)))
    for mine, theirs in zip(alone, reversed(together), strict=True):
        assert np.array_equal(mine, theirs)
        assert (mine.shape, mine.dtype) == (PIXELS.shape, np.uint8)


def test_every_field_and_every_byte_counts() -> None:
    """Another number, seed, recipe or image gives another crop."""
    views = [View("crop", 1, 0), View("crop", 2, 0), View("crop", 1, 1), View("crops", 1, 3)]
    pictures = [_view(view) for view in views] + [_view(views[0], b"other bytes")]
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


def test_flips_are_drawn_evenly() -> None:
    """About half of the views of `flip` are mirrored, the others are the image."""
    mirrored = PIXELS[:, ::-1]
    pictures = [_view(View("flip", number, 0)) for number in range(1, 101)]
    found = sum(np.array_equal(picture, mirrored) for picture in pictures)
    assert 30 <= found <= 70
    assert found + sum(np.array_equal(picture, PIXELS) for picture in pictures) == 100


def test_a_view_is_read_back_from_its_text() -> None:
    """Text and view correspond, in an identity as well; a plain identity has none."""
    view = View("crops", 3, 7)
    assert View.parse(str(view)) == view
    assert View.from_identity(replace(builders.IDENTITY, view=str(view))) == view
    assert View.from_identity(builders.IDENTITY) is None


@pytest.mark.parametrize("text", ["", "crop", "crop-1", "crop-1-x", "blur-1-0", "crop--1-0"])
def test_other_texts_are_no_views(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match="not a view"):
        View.parse(text)
