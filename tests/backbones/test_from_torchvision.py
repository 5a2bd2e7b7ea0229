"""Tests of `embedcache.backbones.from_torchvision`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_models import randomise, save
from torch import nn
from torchvision import models

from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.from_torchvision import bare_model, torchvision_weights
from embedcache.backbones.load import build_architecture, load_backbone
from embedcache.backbones.names import parse_name
from embedcache.errors import BackboneError

# One of each family, but for those that need more than a second.
FAMILIES = {
    "densenet121": 1024,
    "efficientnet_b0": 1280,
    "googlenet": 1024,
    "inception_v3": 2048,
    "mnasnet0_5": 1280,
    "mobilenet_v3_small": 1024,
    "regnet_y_400mf": 440,
    "resnet18": 512,
    "shufflenet_v2_x0_5": 1024,
    "squeezenet1_1": 512,
}

META = [
    *("alexnet", "convnext_tiny", "maxvit_t", "mobilenet_v2", "swin_t"),
    *("swin_v2_t", "vgg11", "vit_b_16", "vit_h_14"),
]


def published(name: str) -> Any:
    """The default weights of a model."""
    return torchvision_weights(parse_name(f"torchvision/{name}"))


@pytest.mark.parametrize("name", FAMILIES)
def test_pre_logits(name: str) -> None:
    """Without its classifier, each family gives what its classifier is given."""
    torch.manual_seed(0)
    module, classifier = bare_model(name, published(name))
    randomise(module)
    side = 96 if name == "inception_v3" else 64
    batch = torch.rand(1, 3, side, side)
    with torch.no_grad():
        features = module(batch)
    assert features.shape == (1, FAMILIES[name])
    seen = []
    spy = module.get_submodule(classifier)
    spy.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    with torch.no_grad():
        module(batch)
    # SqueezeNet classifies positions and averages afterwards.
    assert torch.allclose(seen[0].reshape(1, FAMILIES[name], -1).mean(2), features, atol=1e-6)


@pytest.mark.parametrize("name", META)
def test_large_families(name: str) -> None:
    """The larger families end in the feature dimension that their classifier takes."""
    with torch.device("meta"):
        whole = models.get_model(name, weights=None)
        last = [part for part in whole.modules() if isinstance(part, nn.Linear)][-1]
        weights = published(name)
        module, _ = bare_model(name, weights)
        side = weights.transforms().crop_size[0]
        features = module.eval()(torch.empty(1, 3, side, side))
    assert features.shape == (1, last.in_features)


def test_pretrained_models_normalise_once_more() -> None:
    """GoogLeNet and Inception are built as for their published weights."""
    for name in ("googlenet", "inception_v3"):
        module: Any = bare_model(name, published(name))[0]
        assert module.transform_input is True


def test_auxiliary_classifiers_are_dropped(tmp_path: Path) -> None:
    """Weights with classifiers half-way load; these are no part of the tower."""
    torch.manual_seed(0)
    whole = models.googlenet(weights=None, init_weights=False, aux_logits=True)
    path = save(whole, tmp_path / "googlenet.safetensors")
    architecture = build_architecture(BackboneRequest("torchvision/googlenet", path))
    assert not any("aux" in key for key in architecture.module.state_dict())


def test_old_densenet_names(tmp_path: Path) -> None:
    """DenseNet's published files, with dots in their names, load."""
    torch.manual_seed(0)
    whole = models.densenet121(weights=None)
    new = save(whole, tmp_path / "new.safetensors")
    state = whole.state_dict()
    old = {
        key.replace("norm1.", "norm.1.")
        .replace("norm2.", "norm.2.")
        .replace("conv1.", "conv.1.")
        .replace("conv2.", "conv.2.")
        if "denselayer" in key
        else key: value
        for key, value in state.items()
        if "num_batches" not in key
    }
    torch.save(old, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    request = BackboneRequest("torchvision/densenet121", tmp_path / "old.pth")
    first = build_architecture(request)
    assert first.weights == build_architecture(BackboneRequest(request.name, new)).weights


def test_versioned_layers(tmp_path: Path) -> None:
    """MNASNet, which asks for the version of its layers, loads from a file without one."""
    torch.manual_seed(0)
    path = save(models.mnasnet0_5(weights=None), tmp_path / "mnasnet.safetensors")
    assert build_architecture(BackboneRequest("torchvision/mnasnet0_5", path)).weights


def test_tags() -> None:
    """No tag means torchvision's default; the canonical name has the tag."""
    assert published("resnet50").name == "IMAGENET1K_V2"
    assert torchvision_weights(parse_name("torchvision/resnet50:IMAGENET1K_V1")).name == (
        "IMAGENET1K_V1"
    )


def test_weights_of_the_convolutions_alone() -> None:
    """VGG-16's weights without its fully connected layers are no backbone: these are NaN."""
    with pytest.raises(BackboneError, match="no such weights"):
        torchvision_weights(parse_name("torchvision/vgg16:IMAGENET1K_FEATURES"))


def test_swag_tag_has_its_own_size() -> None:
    """The image size follows the tag: a ViT of another tag has other position embeddings."""
    name = "torchvision/vit_b_16:IMAGENET1K_SWAG_E2E_V1"
    with torch.device("meta"):
        module: Any = bare_model("vit_b_16", torchvision_weights(parse_name(name)))[0]
    assert module.image_size == 384


@pytest.mark.parametrize("option", [{"pooling": "avg"}, {"image_size": 320}])
def test_options_that_a_vit_does_not_have(tmp_path: Path, option: dict[str, Any]) -> None:
    """Pooling is fixed in torchvision, and so is the image size of its transformers."""
    torch.manual_seed(0)
    whole = models.VisionTransformer(32, 16, 1, 2, 32, 64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "get_model", lambda *_, **__: whole)
        path = save(whole, tmp_path / "vit.safetensors")
        with pytest.raises(BackboneError, match=r"pooling|images of this size"):
            load_backbone(BackboneRequest("torchvision/vit_b_32", path, **option), device="cpu")
