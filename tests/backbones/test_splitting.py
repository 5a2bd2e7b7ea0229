"""Splitting is exact for every family in every library, and shares out every parameter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer as ClipViT
from small_models import randomise
from torch import nn
from torchvision import models
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.efficientnet import EfficientNet, MBConvConfig
from torchvision.models.resnet import BasicBlock, ResNet

from embedcache.backbones.blocks import blocks, family
from embedcache.backbones.splitting import boundaries, split_at, tensors_of
from embedcache.errors import BackboneError


def _efficientnet() -> nn.Module:
    stages = [MBConvConfig(1, 3, 1, 16, 16, 1, 1, 1), MBConvConfig(4, 3, 2, 16, 24, 2, 1, 1)]
    tower = EfficientNet(stages, 0.2, last_channel=32)
    tower.classifier[1] = nn.Identity()
    return tower


def _resnet() -> nn.Module:
    tower = ResNet(BasicBlock, [1, 1, 2, 1])
    tower.fc = nn.Identity()
    return tower


def _convnext() -> nn.Module:
    tower = ConvNeXt(
        [CNBlockConfig(8, 16, 1), CNBlockConfig(16, 24, 2), CNBlockConfig(24, None, 1)]
    )
    tower.classifier[2] = nn.Identity()
    return tower


def _vit() -> nn.Module:
    tower = models.VisionTransformer(64, 16, 3, 2, 32, 64)
    tower.heads = nn.Identity()
    return tower


def _clip_vit(**options: Any) -> nn.Module:
    return ClipViT(64, 16, 32, 3, 2, 4, output_dim=24, **options)


TOWERS: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "torchvision efficientnet": ("efficientnet", _efficientnet),
    "torchvision resnet": ("resnet", _resnet),
    "torchvision convnext": ("convnext", _convnext),
    "torchvision vit": ("vit", _vit),
    "timm efficientnet": (
        "efficientnet",
        lambda: timm.create_model("test_efficientnet", num_classes=0),
    ),
    "timm lite": (
        "efficientnet",
        lambda: timm.create_model("tf_efficientnet_lite0", num_classes=0),
    ),
    "timm resnet": ("resnet", lambda: timm.create_model("test_resnet", num_classes=0)),
    "timm convnext": ("convnext", lambda: timm.create_model("test_convnext", num_classes=0)),
    "timm vit": ("vit", lambda: timm.create_model("test_vit", num_classes=0, img_size=64)),
    "timm registers": (
        "vit",
        lambda: timm.create_model(
            "test_vit", num_classes=0, img_size=64, reg_tokens=2, global_pool="avg", drop_rate=0.1
        ),
    ),
    "open_clip resnet": ("resnet", lambda: ModifiedResNet([1, 1, 2, 1], 24, 4, 64, 8)),
    "open_clip vit": ("vit", _clip_vit),
    "open_clip tokens": ("vit", lambda: _clip_vit(pool_type="avg", no_ln_pre=True)),
    "open_clip convnext": (
        "convnext",
        lambda: TimmModel("test_convnext", 24, image_size=64, pool="avg", proj="linear"),
    ),
}


@pytest.fixture(params=TOWERS)
def tower(request: pytest.FixtureRequest) -> nn.Module:
    """A small tower with random weights, in evaluation mode."""
    torch.manual_seed(0)
    return randomise(TOWERS[request.param][1]())


def _images() -> torch.Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_the_two_parts_are_the_tower_bit_by_bit(tower: nn.Module) -> None:
    """Lower part, then upper part, is the whole tower at every boundary."""
    images = _images()
    whole = tower(images)
    names = boundaries(tower)
    assert len(names) >= 2
    for boundary in names:
        lower, upper = split_at(tower, boundary)
        activations = lower(images)
        assert len(activations) == len(images)
        assert torch.equal(upper(activations), whole), boundary


def test_every_parameter_has_one_block(tower: nn.Module) -> None:
    """The blocks share out the parameters, each to one."""
    shared = [name for block in blocks(tower) for name in block.parameter_names]
    assert sorted(shared) == sorted(name for name, _ in tower.named_parameters())
    assert [block.name for block in blocks(tower)] == ["stem", *boundaries(tower)]


def test_what_a_block_names_is_what_the_upper_part_uses(tower: nn.Module) -> None:
    """A gradient through the upper part reaches the parameters of its blocks, and no other."""
    boundary = boundaries(tower)[1]
    lower, upper = split_at(tower, boundary)
    with torch.no_grad():
        activations = lower(_images())
    upper(activations).square().sum().backward()
    reached = {name for name, each in tower.named_parameters() if each.grad is not None}
    own = {name for block in blocks(tower)[2:] for name in block.parameter_names}
    assert reached == own
    parameters = {name for name, _ in tower.named_parameters()}
    assert tensors_of(tower, boundary).keys() & parameters == parameters - own


@pytest.mark.parametrize("name", TOWERS)
def test_the_family_is_known(name: str) -> None:
    """Each tower says which family's recipe it takes."""
    expected, build = TOWERS[name]
    assert family(build()) == expected


def test_other_architectures_are_refused() -> None:
    """An unknown class names the ones that are known, and so does an unknown block."""
    with pytest.raises(BackboneError, match=r"timm\.models\.resnet\.ResNet"):
        boundaries(nn.Linear(2, 2))
    with pytest.raises(BackboneError, match=r"layer4\.0"):
        split_at(_resnet(), "layer9")
