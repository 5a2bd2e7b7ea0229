"""Tests of `embedcache.backbones.transforms`: libraries' transforms as records, strictly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from timm.data import create_transform
from torchvision import models, transforms

from embedcache.backbones.transforms import read_transform, scale_to
from embedcache.errors import BackboneError
from embedcache.inputs.golden import texture

LANCZOS = transforms.InterpolationMode.LANCZOS
NORMALISE = transforms.Normalize([0.5, 0.4, 0.3], [0.2, 0.3, 0.4])


def assert_equal(transform: Any, *sizes: tuple[int, int]) -> None:
    """The record that was read gives the transform's own result, but for normalisation."""
    record = read_transform(transform)
    mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (record.mean, record.std))
    for height, width in sizes:
        image = Image.fromarray(texture(height, width))
        pixels = torch.tensor(record.apply(image)).permute(2, 0, 1)
        ours = pixels.float().div(255).sub(mean).div(std)
        assert torch.equal(ours, transform(image)), (record, height, width)


SIZES = [(1, 1), (7, 90), (90, 7), (61, 60), (300, 200)]


@pytest.mark.parametrize(
    "name", ["resnet18", "efficientnet_b1", "vit_b_16", "swin_t", "convnext_tiny"]
)
def test_torchvision(name: str) -> None:
    """Presets of torchvision are read as what they do."""
    for weights in models.get_model_weights(name):
        assert_equal(weights.transforms(), *SIZES)


def test_every_torchvision_preset() -> None:
    """The preset of every weights of torchvision's classifiers can be read."""
    for name in models.list_models(module=models):
        for weights in models.get_model_weights(name):
            record = read_transform(weights.transforms())
            assert record.resize == "shortest"


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize("crop_pct", [0.875, 1.0, 0.95])
@pytest.mark.parametrize("size", [64, (64, 48)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_timm(crop_mode: str, crop_pct: float, size: Any, interpolation: str) -> None:
    """All that timm builds for evaluation is read as what it does."""
    transform = create_transform(
        size, crop_mode=crop_mode, crop_pct=crop_pct, interpolation=interpolation
    )
    sizes = SIZES if crop_mode != "border" else SIZES[3:]
    assert_equal(transform, *sizes)


@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [64, (64, 48)])
def test_open_clip(resize_mode: str, size: Any) -> None:
    """All that open_clip builds for evaluation is read as what it does."""
    config = PreprocessCfg(size=size, resize_mode=resize_mode, fill_color=9)
    sizes = SIZES if resize_mode != "longest" else SIZES[3:]
    if resize_mode == "shortest" and size == (64, 48):
        sizes = SIZES[3:]
    assert_equal(image_transform_v2(config, is_train=False), *sizes)


@pytest.mark.parametrize(
    "steps",
    [
        [transforms.Resize(32), transforms.CenterCrop(32), transforms.GaussianBlur(3), NORMALISE],
        [transforms.CenterCrop(32), transforms.Resize(32), NORMALISE],
        [transforms.Resize(32), transforms.Resize(16), transforms.CenterCrop(16), NORMALISE],
        [transforms.Resize(31, max_size=50), transforms.CenterCrop(32), NORMALISE],
        [transforms.Resize(32), NORMALISE],
        [transforms.Resize(32), transforms.CenterCrop(32)],
        [transforms.CenterCrop(32), NORMALISE],
        [transforms.RandomHorizontalFlip(), transforms.Resize(32), NORMALISE],
        [
            transforms.Resize(32, LANCZOS),
            transforms.CenterCrop(32),
            NORMALISE,
        ],
        [],
    ],
)
def test_unknown_steps(steps: list[Any]) -> None:
    """A step that is unknown, missing or out of order is an error, never a guess."""
    with pytest.raises(BackboneError, match="preprocessing"):
        read_transform(transforms.Compose(steps))


def test_random_parts() -> None:
    """A transform with a random part is refused."""
    with pytest.raises(BackboneError, match="preprocessing"):
        read_transform(create_transform(64, is_training=True))


def test_fill_only_where_it_shows() -> None:
    """Where the crop lies inside the image, no fill colour is part of the identity."""
    covered = transforms.Compose([transforms.Resize(40), transforms.CenterCrop(32), NORMALISE])
    padded = transforms.Compose([transforms.Resize(24), transforms.CenterCrop(32), NORMALISE])
    assert read_transform(covered).fill is None
    assert read_transform(padded).fill == (0, 0, 0)


def test_scale_to() -> None:
    """At another size, the part of the image that is seen stays the same."""
    record = read_transform(models.ResNet18_Weights.DEFAULT.transforms())
    scaled = scale_to(record, 448)
    assert (scaled.resize_to, scaled.image_size) == ((512, 512), (448, 448))
    assert np.allclose(scaled.mean, record.mean)
