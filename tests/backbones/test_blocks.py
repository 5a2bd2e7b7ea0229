"""Backbones as sequences of blocks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import timm
import torch
from torch import nn
from torchvision import models

from embedcache.backbones.blocks import blocks, family
from embedcache.backbones.families import is_known
from embedcache.backbones.splitting import boundaries


def timm_model(name: str) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(name, num_classes=0)


@pytest.mark.parametrize(
    ("build", "kind", "count", "last"),
    [
        (timm_model("tf_efficientnet_lite0"), "efficientnet", 17, "blocks.6.0"),
        (timm_model("resnet18"), "resnet", 9, "layer4.1"),
        (timm_model("vit_tiny_patch16_224"), "vit", 13, "blocks.11"),
        (timm_model("convnext_atto"), "convnext", 13, "stages.3.blocks.1"),
        (models.vit_b_16, "vit", 13, "encoder.layers.encoder_layer_11"),
        (models.resnet50, "resnet", 17, "layer4.2"),
    ],
)
def test_blocks_of_known_families(
    build: Callable[[], nn.Module], kind: str, count: int, last: str
) -> None:
    """They are those that the tower can be split at, and the last has what comes after it."""
    with torch.device("meta"):
        tower = build()
    found = blocks(tower)
    assert (family(tower), len(found), found[-1].name) == (kind, count, last)
    assert tuple(block.name for block in found) == ("stem", *boundaries(tower))


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("swin_tiny_patch4_window7_224", "vit", [f"layers.{stage}" for stage in range(4)]),
        ("mobilenetv3_small_100", "efficientnet", [f"blocks.{stage}" for stage in range(6)]),
    ],
)
def test_other_architectures_have_blocks_by_their_numbers(
    name: str, kind: str, expected: list[str]
) -> None:
    """What nobody knows how to split is frozen by what its library numbers, in order."""
    with torch.device("meta"):
        tower = timm.create_model(name, num_classes=0)
    found = blocks(tower)
    assert not is_known(tower)
    assert family(tower) == kind
    assert [block.name for block in found] == ["stem", *expected]
    shared = [each for block in found for each in block.parameter_names]
    assert shared == [each for each, _ in tower.named_parameters()]
