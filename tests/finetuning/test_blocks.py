"""Backbones as sequences of blocks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import timm
import torch
from torch import nn
from torchvision import models

from embedcache.finetuning.blocks import block_names, family
from embedcache.finetuning.freezing import Freezing


def timm_model(name: str) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(name, num_classes=0)


@pytest.mark.parametrize(
    ("build", "kind", "count", "last"),
    [
        (
            lambda: timm.create_model("tf_efficientnet_lite0", num_classes=0),
            "efficientnet",
            8,
            "blocks.6",
        ),
        (timm_model("resnet18"), "resnet", 9, "layer4.1"),
        (timm_model("vit_tiny_patch16_224"), "vit", 13, "blocks.11"),
        (timm_model("convnext_atto"), "convnext", 6, "stages.3"),
        (models.vit_b_16, "vit", 13, "encoder.layers.encoder_layer_11"),
        (models.resnet50, "resnet", 17, "layer4.2"),
    ],
)
def test_blocks_of_known_families(
    build: Callable[[], nn.Module], kind: str, count: int, last: str
) -> None:
    """Family, number of blocks, and the last one with what comes after it."""
    with torch.device("meta"):
        module = build()
    blocks = block_names(module)
    assert (family(module), len(blocks), blocks[-1][0]) == (kind, count, last)
    freezing = Freezing(blocks, 1, head="none of them")
    depths = [freezing.depth(name) for name, _ in module.named_parameters()]
    assert sorted(set(depths)) == list(range(1, count + 1))
    assert depths == sorted(depths, reverse=True)
