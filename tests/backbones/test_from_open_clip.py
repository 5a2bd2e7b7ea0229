"""Tests of `embedcache.backbones.from_open_clip`."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.pretrained import get_pretrained_cfg
from safetensors.torch import load_file, save_file
from small_models import SmallModel, clip_model, sample_images

from embedcache.backbones.from_open_clip import known_names, resolve_quickgelu
from embedcache.backbones.load import build_architecture, load_backbone
from embedcache.backbones.names import parse_name
from embedcache.errors import BackboneError


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    """A model of a few thousand weights, its file holding the text tower as well."""
    return clip_model(tmp_path_factory.mktemp("clip"))


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("open_clip/ViT-B-32:openai", "ViT-B-32-quickgelu"),
        ("open_clip/ViT-B-16:dfn2b", "ViT-B-16-quickgelu"),
        ("open_clip/RN50:openai", "RN50-quickgelu"),
        ("open_clip/ViT-B-32-quickgelu:openai", "ViT-B-32-quickgelu"),
        ("open_clip/ViT-B-32:laion2b_s34b_b79k", "ViT-B-32"),
        ("open_clip/ViT-B-32:LAION2B-s34b-b79k", "ViT-B-32"),
    ],
)
def test_quickgelu_comes_with_the_weights(name: str, model: str) -> None:
    """Weights trained with QuickGELU bring its architecture along, others do not."""
    assert resolve_quickgelu(parse_name(name))[0] == model


def test_no_published_weights_get_the_wrong_activation() -> None:
    """Of all weights published as trained with QuickGELU, none lands in a tower without it."""
    seen = 0
    for name in known_names():
        model, tag = resolve_quickgelu(parse_name(name))
        if get_pretrained_cfg(model, tag).get("quick_gelu", False):
            assert open_clip.get_model_config(model).get("quick_gelu", False), name
            seen += 1
    assert seen > 20


def test_quickgelu_matters() -> None:
    """The two activations differ by far more than rounding: the trap is worth the trouble."""
    values = torch.linspace(-3, 3, 101)
    quick = open_clip.transformer.QuickGELU()(values)
    assert (quick - torch.nn.functional.gelu(values)).abs().max() > 0.01


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("open_clip/ViT-B-33:openai", "ViT-B-32"),
        ("open_clip/ViT-B-32:laion2b", "laion2b_s34b_b79k"),
        ("open_clip/ViT-B-32", "needs a tag"),
    ],
)
def test_unknown_names_list_the_nearest(name: str, words: str) -> None:
    """A wrong model, a wrong tag and none at all are told apart, with what is near."""
    with pytest.raises(BackboneError, match=words):
        resolve_quickgelu(parse_name(name))


def test_the_image_tower_alone_is_the_same_backbone(clip: SmallModel, tmp_path: Path) -> None:
    """A file of the image tower gives the identity of the whole model's file."""
    assert clip.request.weights is not None
    state = load_file(clip.request.weights)
    tower = {k.removeprefix("visual."): v for k, v in state.items() if k.startswith("visual.")}
    assert len(tower) < len(state)
    save_file(tower, tmp_path / "tower.safetensors")
    alone = build_architecture(replace(clip.request, weights=tmp_path / "tower.safetensors"))
    assert alone.weights == build_architecture(clip.request).weights


def test_the_text_tower_does_not_matter(clip: SmallModel, tmp_path: Path) -> None:
    """Other weights of the text tower are the same backbone of images."""
    assert clip.request.weights is not None
    state = load_file(clip.request.weights)
    changed = {k: v if k.startswith("visual.") else v + 1 for k, v in state.items()}
    save_file(changed, tmp_path / "w.safetensors")
    other = build_architecture(replace(clip.request, weights=tmp_path / "w.safetensors"))
    assert other.weights == build_architecture(clip.request).weights


def test_features_are_not_normalised(clip: SmallModel) -> None:
    """The embedding's length is kept: a head may use it, and can drop it."""
    backbone = load_backbone(clip.request, device="cpu", batch_size=2)
    batch = np.stack([backbone.prepare(data) for data in sample_images()[:2]])
    lengths = np.linalg.norm(backbone.submit(batch).result(), axis=1)
    assert np.abs(lengths - 1).max() > 0.01
    assert backbone.spec.identity.normalisation == "none"
    assert backbone.spec.identity.layer == "image-embedding"


def test_missing_tensors_are_named(clip: SmallModel, tmp_path: Path) -> None:
    """A file without one of the tower's tensors is refused, and the tensor named."""
    assert clip.request.weights is not None
    state = load_file(clip.request.weights)
    del state["visual.conv1.weight"]
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(BackboneError, match=r"1 missing: conv1\.weight"):
        build_architecture(replace(clip.request, weights=tmp_path / "w.safetensors"))


def test_pooling_is_refused(clip: SmallModel) -> None:
    """The embedding is what it was trained to be: there is no pooling to choose."""
    with pytest.raises(BackboneError, match="one pooling"):
        load_backbone(replace(clip.request, pooling="avg"), device="cpu")


def test_loading_is_silent_and_leaves_logging_alone(
    clip: SmallModel, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """open_clip's remark that no weights were loaded, which is untrue here, is not passed on."""
    root = logging.getLogger()
    before = list(root.handlers), list(root.filters)
    load_backbone(clip.request, device="cpu")
    assert (list(root.handlers), list(root.filters)) == before
    assert "No pretrained weights" not in caplog.text + "".join(capfd.readouterr())
