"""Tests of `embedcache.backbones.from_torchvision`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import SmallModel, torchvision_model
from torch import nn
from torchvision import models

from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.from_torchvision import bare_model, torchvision_weights
from embedcache.backbones.load import build_architecture, load_backbone
from embedcache.backbones.names import parse_name
from embedcache.errors import BackboneError


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    """ResNet-18 with random weights."""
    return torchvision_model(tmp_path_factory.mktemp("torchvision"))


def test_no_tag_means_the_default_weights() -> None:
    """As in torchvision itself, `DEFAULT` is the newest weights."""
    assert torchvision_weights(parse_name("torchvision/resnet50")).name == "IMAGENET1K_V2"
    assert torchvision_weights(parse_name("torchvision/resnet50:IMAGENET1K_V1")).name.endswith("V1")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("torchvision/resnet19", "torchvision/resnet18"),
        ("torchvision/resnet50:IMAGENET1K_V9", "torchvision/resnet50:IMAGENET1K_V2"),
        ("torchvision/fasterrcnn_resnet50_fpn", "no such model"),
    ],
)
def test_unknown_names_list_the_nearest(name: str, words: str) -> None:
    """A wrong model and wrong weights are told apart; detectors are no backbones."""
    with pytest.raises(BackboneError, match=words):
        torchvision_weights(parse_name(name))


def test_the_default_tag_is_in_the_name(resnet: SmallModel) -> None:
    """The canonical name says which weights' preprocessing was used, and which file."""
    spec = load_backbone(resnet.request, device="cpu").spec
    assert spec.name == "torchvision/resnet18:IMAGENET1K_V1@resnet18.safetensors"
    assert spec.dim == 512
    assert spec.parameters == sum(p.numel() for p in resnet.model.parameters())


def test_preprocessing_belongs_to_the_weights(tmp_path: Path) -> None:
    """The same file with the preprocessing of other weights is another identity."""
    path = tmp_path / "w.safetensors"
    save_file(models.get_model("mobilenet_v2").state_dict(), path)
    first, second = (
        build_architecture(BackboneRequest(f"torchvision/mobilenet_v2:IMAGENET1K_{tag}", path))
        for tag in ("V1", "V2")
    )
    assert first.weights == second.weights
    assert (first.preprocessing.resize_to, second.preprocessing.resize_to) == (
        (256, 256),
        (232, 232),
    )


def test_pooling_is_refused(resnet: SmallModel) -> None:
    """Models of torchvision have no choice of pooling."""
    with pytest.raises(BackboneError, match="one pooling"):
        build_architecture(replace(resnet.request, pooling="avg"))


def test_image_size_scales_the_resize_too(resnet: SmallModel) -> None:
    """Half the size shows the same part of the picture."""
    plain = build_architecture(resnet.request)
    small = build_architecture(replace(resnet.request, image_size=112))
    assert (plain.preprocessing.resize_to, plain.preprocessing.image_size) == (
        (256, 256),
        (224, 224),
    )
    assert (small.preprocessing.resize_to, small.preprocessing.image_size) == (
        (128, 128),
        (112, 112),
    )
    assert small.weights == plain.weights


def test_a_missing_and_an_unexpected_tensor_are_named(resnet: SmallModel, tmp_path: Path) -> None:
    """A renamed tensor is both, and both names are in the message."""
    state = load_file(resnet.request.weights)
    state["layer1.0.convolution.weight"] = state.pop("layer1.0.conv1.weight")
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(BackboneError) as caught:
        build_architecture(replace(resnet.request, weights=tmp_path / "w.safetensors"))
    assert "1 missing: layer1.0.conv1.weight" in (caught.value.got or "")
    assert "1 unexpected: layer1.0.convolution.weight" in (caught.value.got or "")


@pytest.mark.parametrize(
    "model",
    [
        *("alexnet", "densenet121", "efficientnet_b0", "googlenet", "inception_v3", "mnasnet0_5"),
        *("mobilenet_v3_small", "regnet_y_400mf", "shufflenet_v2_x0_5", "squeezenet1_0"),
        *("swin_t", "vgg11", "vit_b_16", "convnext_tiny", "maxvit_t"),
    ],
)
def test_every_family_loses_only_its_classifier(model: str) -> None:
    """The published tensors are those of the tower and of the classifier, with none left over."""
    published = torchvision_weights(parse_name(f"torchvision/{model}"))
    silent = {"init_weights": False} if model in {"googlenet", "inception_v3"} else {}
    with torch.device("cpu" if model.startswith("regnet") else "meta"):
        whole = models.get_model(model, weights=None, **silent)
        tower, classifier = bare_model(model, published)
    assert isinstance(tower.get_submodule(classifier), nn.Identity)
    own = set(tower.state_dict())
    rest = {
        key
        for key in whole.state_dict()
        if not key.startswith((f"{classifier}.", "aux1.", "aux2.", "AuxLogits."))
    }
    assert own == rest
