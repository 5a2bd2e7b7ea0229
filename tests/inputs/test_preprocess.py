"""Tests of `embedcache.inputs.preprocess`: bit-equal to torchvision, timm and open_clip."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from builders import IDENTITY
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from open_clip.transform import CenterCropOrPad as ClipCropOrPad
from open_clip.transform import ResizeKeepRatio as ClipKeepRatio
from PIL import Image
from timm.data.transforms import CenterCropOrPad, ResizeKeepRatio
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from embedcache.errors import InputRejectedError
from embedcache.inputs.golden import texture
from embedcache.inputs.preprocess import Preprocessing

PLAIN = Preprocessing(
    "shortest", (32, 32), (28, 28), "bicubic", None, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
)
SIZES = st.integers(1, 90)
INTERPOLATIONS = st.sampled_from(["nearest", "bilinear", "bicubic"])
BLACK = (0, 0, 0)


def reference(transform: Any, height: int, width: int) -> NDArray[np.uint8]:
    """What a library's transform makes of a texture."""
    return np.asarray(transform(Image.fromarray(texture(height, width))))


def applied(preprocessing: Preprocessing, height: int, width: int) -> NDArray[np.uint8]:
    """What the record makes of the same texture."""
    return preprocessing.apply(Image.fromarray(texture(height, width)))


@settings(max_examples=150, deadline=None)
@given(SIZES, SIZES, st.integers(1, 48), SIZES, SIZES, INTERPOLATIONS)
def test_shortest(
    height: int, width: int, side: int, crop_height: int, crop_width: int, interpolation: str
) -> None:
    """Equal to torchvision's Resize(int) and CenterCrop, also where the crop is larger."""
    theirs = Compose(
        [Resize(side, InterpolationMode(interpolation)), CenterCrop((crop_height, crop_width))]
    )
    ours = replace(
        PLAIN,
        resize_to=(side, side),
        image_size=(crop_height, crop_width),
        interpolation=interpolation,
        fill=BLACK,
    )
    assert np.array_equal(applied(ours, height, width), reference(theirs, height, width))


@settings(max_examples=100, deadline=None)
@given(SIZES, SIZES, SIZES, SIZES, SIZES, SIZES, INTERPOLATIONS)
def test_squash(
    height: int,
    width: int,
    to_height: int,
    to_width: int,
    crop_height: int,
    crop_width: int,
    interpolation: str,
) -> None:
    """Equal to torchvision's Resize((h, w)) and CenterCrop."""
    theirs = Compose(
        [
            Resize((to_height, to_width), InterpolationMode(interpolation)),
            CenterCrop((crop_height, crop_width)),
        ]
    )
    ours = replace(
        PLAIN,
        resize="squash",
        resize_to=(to_height, to_width),
        image_size=(crop_height, crop_width),
        interpolation=interpolation,
        fill=BLACK,
    )
    assert np.array_equal(applied(ours, height, width), reference(theirs, height, width))


@settings(max_examples=100, deadline=None)
@given(SIZES, SIZES, st.integers(8, 60), st.integers(8, 60), INTERPOLATIONS)
def test_longest(height: int, width: int, to_height: int, to_width: int, how: str) -> None:
    """Equal to timm's and open_clip's ResizeKeepRatio(longest=1) and CenterCropOrPad."""
    if min(height, width) * 8 < max(height, width):
        height, width = width + height, width + height  # they cannot make an image of no pixels
    size, fill = (to_height, to_width), (124, 116, 104)
    ours = replace(
        PLAIN, resize="longest", resize_to=size, image_size=size, interpolation=how, fill=fill
    )
    mode = InterpolationMode(how)
    timm = Compose([ResizeKeepRatio(size, 1.0, how), CenterCropOrPad(size, fill=fill)])
    clip = Compose([ClipKeepRatio(size, 1.0, mode), ClipCropOrPad(size, fill=fill)])
    result = applied(ours, height, width)
    assert np.array_equal(result, reference(timm, height, width))
    assert np.array_equal(result, reference(clip, height, width))


@settings(max_examples=100, deadline=None)
@given(SIZES, SIZES, st.integers(8, 60), st.integers(8, 60))
def test_shortest_of_a_rectangle(height: int, width: int, to_height: int, to_width: int) -> None:
    """Equal to timm's ResizeKeepRatio and CenterCrop, for inputs that are not square."""
    if to_height == to_width:
        to_width += 1
    size = (to_height, to_width)
    theirs = Compose([ResizeKeepRatio(size, 0.0, "bicubic"), CenterCrop(size)])
    ours = replace(PLAIN, resize_to=size, image_size=size)
    assert np.array_equal(applied(ours, height, width), reference(theirs, height, width))


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (3, 1000), (256, 256), (257, 255)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_usual_input(size: tuple[int, int], interpolation: str) -> None:
    """Equal at the usual 256/224, for a single pixel and extreme aspects too."""
    theirs = Compose([Resize(256, InterpolationMode(interpolation)), CenterCrop(224)])
    ours = replace(PLAIN, resize_to=(256, 256), image_size=(224, 224), interpolation=interpolation)
    result = applied(ours, *size)
    assert result.shape == (224, 224, 3)
    assert result.dtype == np.uint8
    assert np.array_equal(result, reference(theirs, *size))


def test_thread_thin_image() -> None:
    """An image that resizing would blow up to gigabytes is refused, not tried."""
    ours = replace(PLAIN, resize_to=(256, 256), image_size=(224, 224))
    with pytest.raises(InputRejectedError, match="too large"):
        ours.apply(Image.new("RGB", (10_000, 1)))


def test_thread_thin_image_that_must_fit() -> None:
    """An image that would vanish when it is made to fit keeps one row of pixels."""
    ours = replace(PLAIN, resize="longest", resize_to=(28, 28), fill=BLACK)
    result = ours.apply(Image.new("RGB", (1000, 1), "white"))
    assert (result.max(axis=(1, 2)) == 255).sum() == 1


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["shortest", "squash", "longest"]),
    st.tuples(SIZES, SIZES),
    st.tuples(SIZES, SIZES),
    INTERPOLATIONS,
    st.tuples(*[st.integers(0, 255)] * 3),
    st.tuples(*[st.floats(0, 1, width=32)] * 3),
    st.tuples(*[st.floats(0.0625, 1, width=32)] * 3),
)
def test_identity_round_trip(
    resize: str,
    resize_to: tuple[int, int],
    image_size: tuple[int, int],
    interpolation: str,
    fill: tuple[int, int, int],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> None:
    """A record that went through the identity's strings is the same record."""
    ours = Preprocessing(resize, resize_to, image_size, interpolation, fill, mean, std)
    again = Preprocessing.from_identity(replace(IDENTITY, **ours.to_strings()))
    assert again.to_strings() == ours.to_strings()
    assert np.array_equal(np.float32(again.mean), np.float32(ours.mean))
    assert np.array_equal(np.float32(again.std), np.float32(ours.std))
    assert replace(again, mean=mean, std=std) == ours


def test_float32_spelling() -> None:
    """The same number held as float32 or float64 gives the same identity."""
    wide = replace(PLAIN, mean=tuple(float(np.float32(value)) for value in PLAIN.mean))
    assert wide.to_strings() == PLAIN.to_strings()
    assert PLAIN.to_strings()["mean"] == "0.485,0.456,0.406"


@pytest.mark.parametrize(
    "wrong",
    [
        {"resize": "stretch"},
        {"interpolation": "lanczos"},
        {"resize_to": (0, 3)},
        {"image_size": (40, 28)},
        {"resize": "longest"},
        {"std": (0.2, 0.0, 0.2)},
    ],
)
def test_impossible_records(wrong: dict[str, Any]) -> None:
    """A record that no backbone can have is refused."""
    with pytest.raises(ValueError, match=next(iter(wrong)).split("_")[0] + "|fill|sizes"):
        replace(PLAIN, **wrong)


@pytest.mark.parametrize("field", ["resize_to", "fill", "mean"])
def test_damaged_identity(field: str) -> None:
    """Strings that `to_strings` never writes are refused."""
    with pytest.raises(ValueError, match=r".+"):
        Preprocessing.from_identity(replace(IDENTITY, **{field: "1"}))
