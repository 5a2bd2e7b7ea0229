"""Tests of `embedcache.backbones.folding`."""

from __future__ import annotations

import pytest
import timm
import torch
from small_models import randomise
from torch import Tensor, nn
from torchvision import models

from embedcache.backbones.folding import fold
from embedcache.backbones.weights import weights_digest

EXAMPLE = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def norms(module: nn.Module) -> int:
    """How many batch norms a model has."""
    return sum(isinstance(part, nn.BatchNorm2d) for part in module.modules())


@pytest.mark.parametrize(
    ("model", "left"),
    [
        (models.resnet18, 0),
        (models.mobilenet_v3_small, 0),
        (models.densenet121, 62),
        (lambda: timm.create_model("tf_efficientnet_lite0"), 0),
        (lambda: timm.create_model("test_resnet"), 0),
        (lambda: timm.create_model("test_byobnet"), 0),
        (lambda: timm.create_model("resnetv2_18"), 9),
    ],
)
def test_same_output(model: object, left: int) -> None:
    """Batch norms after convolutions disappear, and the output stays, on other images too."""
    torch.manual_seed(0)
    module = randomise(model())  # type: ignore[operator]  # a constructor
    folded = fold(module, EXAMPLE)
    assert folded is not None
    assert norms(folded) == left < norms(module)
    other = torch.rand(2, 3, 96, 64)
    with torch.no_grad():
        expected = module(other)
        assert (folded(other) - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_original_is_untouched() -> None:
    """Folding works on a copy."""
    module = randomise(timm.create_model("test_resnet"))
    before = weights_digest(module)
    assert fold(module, EXAMPLE) is not None
    assert weights_digest(module) == before


def test_nothing_to_fold() -> None:
    """A model without batch norms stays as it is."""
    assert fold(timm.create_model("test_vit").eval(), torch.rand(1, 3, 160, 160)) is None


class Branching(nn.Module):
    """A convolution whose output is used twice: once beside its batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        y = self.convolution(x)
        return (self.norm(y) + y).mean((2, 3))


class Twice(nn.Module):
    """A convolution and batch norm that are applied twice."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 3)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.convolution(self.norm(self.convolution(x)))).mean((2, 3))


class InPlace(nn.Module):
    """An activation that overwrites the convolution's output before the batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.convolution(x).relu_()).mean((2, 3))


@pytest.mark.parametrize("kind", [Branching, Twice, InPlace])
def test_what_cannot_be_folded(kind: type[nn.Module]) -> None:
    """Where folding would change the output, the model stays as it is."""
    assert fold(randomise(kind()), EXAMPLE) is None


def test_standardised_weights() -> None:
    """Convolutions that compute with other weights than they hold are left alone."""

    class Standardised(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.conv2d(x, self.weight / self.weight.std())

    module = nn.Sequential(Standardised(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten())
    assert fold(randomise(module), EXAMPLE) is None
