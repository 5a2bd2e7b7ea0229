"""Tests of `embedcache.backbones.listing`."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants

from embedcache.backbones.listing import RECOMMENDED, list_backbones, search_names
from embedcache.backbones.names import SOURCES, parse_name, resolve


def test_recommended_names_exist() -> None:
    """Every name of the short list is known to its source, and none needs an extra library."""
    known = {name for source in SOURCES for name in resolve(source, "known_names")()}
    assert set(RECOMMENDED) <= known
    assert {parse_name(name).source for name in RECOMMENDED} == set(SOURCES) - {"hf"}
    assert search_names() == search_names("  ") == list(RECOMMENDED)


def test_search() -> None:
    """All words must occur, in any case and order."""
    names = search_names("DINOv2 base")
    assert "timm/vit_base_patch14_dinov2.lvd142m" in names
    assert all("dinov2" in name and "base" in name for name in names)
    assert search_names("base dinov2") == names
    assert search_names("no such backbone at all") == []


def test_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row says what the backbone is and whether its weights are here."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth").touch()
    names = [
        "bundled/efficientnet_lite0",
        "timm/resnet10t.c3_in1k",
        "torchvision/resnet18:IMAGENET1K_V1",
        "torchvision/regnet_y_400mf:IMAGENET1K_V2",
        "open_clip/ViT-B-32:openai",
    ]
    rows = {row.name: row for row in list_backbones(names)}
    assert list(rows) == names
    bundled = rows["bundled/efficientnet_lite0"]
    assert (bundled.dim, bundled.image_size, bundled.parameters) == (1280, "224x224", 3371008)
    assert (bundled.license, bundled.is_local) == ("Apache-2.0", True)
    assert rows["torchvision/resnet18:IMAGENET1K_V1"].is_local
    assert rows["torchvision/resnet18:IMAGENET1K_V1"].dim == 512
    assert rows["torchvision/regnet_y_400mf:IMAGENET1K_V2"].dim == 440
    assert not rows["timm/resnet10t.c3_in1k"].is_local
    assert not rows["open_clip/ViT-B-32:openai"].is_local
    assert rows["open_clip/ViT-B-32:openai"].dim == 512
