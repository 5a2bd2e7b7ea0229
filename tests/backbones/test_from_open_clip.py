"""Tests of `embedcache.backbones.from_open_clip`."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import SmallModel, clip_model

from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.from_open_clip import resolve_quickgelu, sketch
from embedcache.backbones.load import build_architecture, load_backbone
from embedcache.backbones.names import BackboneName
from embedcache.errors import BackboneError
from embedcache.inputs.golden import golden_bytes
from embedcache.inputs.images import decode_rgb


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    """A small model of open_clip."""
    return clip_model(tmp_path_factory.mktemp("weights"))


@pytest.mark.parametrize(
    ("model", "tag", "expected"),
    [
        ("ViT-B-32", "openai", "ViT-B-32-quickgelu"),
        ("ViT-B-16", "dfn2b", "ViT-B-16-quickgelu"),
        ("ViT-B-32", "laion2b_s34b_b79k", "ViT-B-32"),
        ("ViT-B-32-quickgelu", "openai", "ViT-B-32-quickgelu"),
        ("roberta-ViT-B-32", "laion2b_s12b_b32k", "roberta-ViT-B-32"),
    ],
)
def test_quickgelu(model: str, tag: str, expected: str) -> None:
    """Weights that were trained with QuickGELU bring the architecture that has it."""
    assert resolve_quickgelu(BackboneName("open_clip", model, tag)) == (expected, tag)


def test_every_published_tag_gets_its_activation() -> None:
    """For all published weights, the architecture's activation is the one of their training."""
    from open_clip.pretrained import get_pretrained_cfg

    for model, tag in open_clip.list_pretrained():
        resolved, _ = resolve_quickgelu(BackboneName("open_clip", model, tag))
        if get_pretrained_cfg(model, tag).get("quick_gelu"):
            assert open_clip.get_model_config(resolved)["quick_gelu"] is True, (model, tag)


def test_spelling_of_tags() -> None:
    """Tags may be written with dashes and capitals, as open_clip allows."""
    name = BackboneName("open_clip", "ViT-B-32", "LAION2B-s34b-b79k")
    assert resolve_quickgelu(name)[1] == "laion2b_s34b_b79k"


def test_features_are_not_normalised(clip: SmallModel) -> None:
    """The feature is `encode_image` as it is, not of unit length."""
    backbone = load_backbone(clip.request, device="cpu", batch_size=1)
    feature = backbone.submit(backbone.prepare(golden_bytes())[None]).result()[0]
    assert abs(np.linalg.norm(feature) - 1) > 0.1
    assert backbone.spec.identity.normalisation == "none"
    assert backbone.spec.identity.layer == "image-embedding"


def test_image_size(clip: SmallModel) -> None:
    """Another size gives what open_clip's force_image_size gives, of the same weights."""
    assert clip.request.weights is not None
    theirs, _, transform = open_clip.create_model_and_transforms(
        "tiny-clip", pretrained=str(clip.request.weights), force_image_size=96
    )
    ours = load_backbone(replace(clip.request, image_size=96), device="cpu", batch_size=1)
    with torch.no_grad():
        expected = theirs.eval().encode_image(transform(decode_rgb(golden_bytes()))[None]).numpy()
    features = ours.submit(ours.prepare(golden_bytes())[None]).result()
    assert np.abs(features - expected).max() <= 1e-4 * np.abs(expected).max()
    usual = load_backbone(clip.request, device="cpu", batch_size=1)
    assert ours.spec.identity.weights == usual.spec.identity.weights


def test_image_tower_alone(clip: SmallModel, tmp_path: Path) -> None:
    """A file of the image tower alone is the same backbone as the whole model's."""
    assert clip.request.weights is not None
    state = load_file(clip.request.weights)
    tower = {k.removeprefix("visual."): v for k, v in state.items() if k.startswith("visual.")}
    save_file(tower, tmp_path / "tower.safetensors")
    alone = build_architecture(replace(clip.request, weights=tmp_path / "tower.safetensors"))
    assert alone.weights == build_architecture(clip.request).weights


def test_missing_tensor(clip: SmallModel, tmp_path: Path) -> None:
    """A tensor that the image tower misses is an error; the text tower's do not matter."""
    assert clip.request.weights is not None
    state = load_file(clip.request.weights)
    del state["token_embedding.weight"]
    save_file(state, tmp_path / "a.safetensors")
    build_architecture(replace(clip.request, weights=tmp_path / "a.safetensors"))
    del state["visual.proj"]
    save_file(state, tmp_path / "b.safetensors")
    with pytest.raises(BackboneError, match="missing: proj"):
        build_architecture(replace(clip.request, weights=tmp_path / "b.safetensors"))


def test_pooling_is_fixed(clip: SmallModel) -> None:
    """There is no choice of pooling."""
    with pytest.raises(BackboneError, match="pooling"):
        build_architecture(replace(clip.request, pooling="avg"))


def test_no_remarks(clip: SmallModel, caplog: pytest.LogCaptureFixture) -> None:
    """Open_clip's warning that it loads no weights is not passed on, and logging is as before."""
    handlers, filters = list(logging.getLogger().handlers), list(logging.getLogger().filters)
    with caplog.at_level(logging.WARNING):
        build_architecture(clip.request)
    assert caplog.records == []
    assert list(logging.getLogger().filters) == filters
    assert list(logging.getLogger().handlers) == handlers


@pytest.mark.parametrize(
    ("model", "tag", "dim"),
    [
        ("ViT-B-32", "openai", 512),
        ("RN50", "openai", 1024),
        ("ViT-B-16-SigLIP", "webli", 768),
        ("coca_ViT-B-32", "laion2b_s13b_b90k", 512),
        ("xlm-roberta-base-ViT-B-32", "laion5b_s13b_b90k", 512),
    ],
)
def test_kinds_of_towers(model: str, tag: str, dim: int) -> None:
    """Transformers, ResNets, timm's towers, CoCa and multilingual models give (1, D)."""
    shape = sketch(BackboneName("open_clip", model, tag))
    side = shape.preprocessing.image_size[0]
    features = shape.module.eval()(torch.empty(1, 3, side, side, device="meta"))
    assert features.shape == (1, dim)


def test_request_without_tag() -> None:
    """Without a local file, a tag must say which weights."""
    with pytest.raises(BackboneError, match="needs a tag"):
        build_architecture(BackboneRequest("open_clip/ViT-B-32"))
