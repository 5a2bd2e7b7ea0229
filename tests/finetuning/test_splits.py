"""Splits are timed as they will be paid for."""

from __future__ import annotations

import pytest
import timm
import torch
from small_models import randomise
from torch import nn

from embedcache.backbones.splitting import boundaries, split_at
from embedcache.backbones.torch_backbone import layout_of
from embedcache.finetuning import splits

SIDE = 64


@pytest.fixture(params=["test_efficientnet", "test_resnet", "test_convnext", "test_vit"])
def tower(request: pytest.FixtureRequest) -> nn.Module:
    """A small tower of each family, in the layout that it is trained in."""
    size = {"img_size": SIDE} if "vit" in request.param else {}
    made = randomise(timm.create_model(request.param, num_classes=0, **size))
    return made.to(memory_format=layout_of(made))


def test_every_split_is_profiled(tower: nn.Module) -> None:
    """Shapes are those of the activations; later splits have less to train, more to embed."""
    before = {name: value.clone() for name, value in tower.state_dict().items()}
    found = splits.profile(tower, (SIDE, SIDE), "float32", "bfloat16")
    assert tuple(split.boundary for split in found) == boundaries(tower)
    for split in found:
        lower, _ = split_at(tower, split.boundary)
        with torch.no_grad():
            assert lower(torch.zeros(1, 3, SIDE, SIDE)).shape[1:] == split.shape
    uppers = [split.upper for split in found]
    lowers = [split.lower for split in found]
    assert sorted(uppers, reverse=True) == uppers
    assert sorted(lowers) == lowers
    assert 0 < found[-1].share < found[0].share < 1
    assert found[0].upper / found[0].share == pytest.approx(found[-1].upper / found[-1].share)
    assert all(torch.equal(tower.state_dict()[name], each) for name, each in before.items())
    assert all(each.grad is None for each in tower.parameters())


def test_a_stutter_does_not_count(tower: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fastest pass of each section is taken; a busy machine slows only some."""
    clock = _Clock()
    monkeypatch.setattr(splits, "_now", clock)
    quiet = splits.profile(tower, (SIDE, SIDE), "float32", "float32")
    clock.looks, clock.stutter = 0, 5
    busy = splits.profile(tower, (SIDE, SIDE), "float32", "float32")
    assert [each.upper for each in busy] == pytest.approx([each.upper for each in quiet])


def test_what_is_loaded_first_does_not_count(
    tower: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a device whose first pass takes so long that no other one follows, it is not timed."""
    clock = _Clock()
    monkeypatch.setattr(splits, "_now", clock)
    warm = splits.profile(tower, (SIDE, SIDE), "float32", "float32")
    monkeypatch.setattr(splits, "_LONGEST", 0.0)
    clock.looks, clock.stutter = 0, 2
    cold = splits.profile(tower, (SIDE, SIDE), "float32", "float32")
    assert [each.upper for each in cold] == pytest.approx([each.upper for each in warm])
    assert [each.lower for each in cold] == pytest.approx([each.lower for each in warm])


class _Clock:
    """A second passes between two looks, at one look a hundred."""

    def __init__(self) -> None:
        self.now, self.looks, self.stutter = 0.0, 0, -1

    def __call__(self, _device: torch.device) -> float:
        self.looks += 1
        self.now += 100.0 if self.looks == self.stutter else 1.0
        return self.now
