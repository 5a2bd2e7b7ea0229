"""Tests of `embedcache.backbones.from_timm` and `embedcache.backbones.timm_towers`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from small_models import SmallModel, randomise, save, timm_model

from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.from_timm import build, timm_config
from embedcache.backbones.load import build_architecture, load_backbone
from embedcache.backbones.names import BackboneName, parse_name
from embedcache.errors import BackboneError


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    """A small transformer."""
    return timm_model(tmp_path_factory.mktemp("weights"), "test_vit.r160_in1k")


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    """A small convolutional model."""
    return timm_model(tmp_path_factory.mktemp("weights"))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("timm/resnet18", "resnet18.a1_in1k"),
        ("timm/resnet18.tv_in1k", "resnet18.tv_in1k"),
        ("timm/resnet18:tv_in1k", "resnet18.tv_in1k"),
    ],
)
def test_tags(text: str, name: str) -> None:
    """A name without a tag means timm's default, and tags go by a dot or a colon."""
    config = timm_config(parse_name(text))
    assert f"{config.architecture}.{config.tag}" == name


def test_every_published_configuration() -> None:
    """The preprocessing of all weights that timm publishes can be read, at any size."""
    from embedcache.backbones.from_timm import _preprocessing

    for name in timm.list_models(pretrained=True)[::7]:
        config = timm_config(BackboneName("timm", name))
        record = _preprocessing(config, None)
        assert record.image_size == tuple(config.input_size[1:])
        assert _preprocessing(config, 192).image_size == (192, 192)


@pytest.mark.parametrize("classes", [None, 0, 3])
def test_classifier_is_of_no_interest(vit: SmallModel, tmp_path: Path, classes: int | None) -> None:
    """A classifier of the usual size, none at all, or one of another size: the same backbone."""
    assert vit.request.weights is not None
    state = load_file(vit.request.weights)
    if classes is not None:
        state = {key: value for key, value in state.items() if not key.startswith("head.")}
    if classes:
        state |= {"head.weight": torch.ones(classes, 64), "head.bias": torch.ones(classes)}
    path = tmp_path / "a.safetensors"
    save_file(state, path)
    architecture = build_architecture(replace(vit.request, weights=path))
    assert architecture.weights == build_architecture(vit.request).weights


@pytest.mark.parametrize("classes", [1000, 5, 0])
def test_original_formats(tmp_path: Path, classes: int) -> None:
    """Weights under their authors' names are converted by timm, whatever their classifier."""
    torch.manual_seed(0)
    model: Any = randomise(timm.create_model("convnext_atto", num_classes=classes))
    native = save(model, tmp_path / "native.safetensors")
    # ConvNeXt's own repository calls the same tensors otherwise.
    renamed = {}
    for key, value in model.state_dict().items():
        new = key.replace("stem.", "downsample_layers.0.").replace("conv_dw", "dwconv")
        new = new.replace("mlp.fc1", "pwconv1").replace("mlp.fc2", "pwconv2")
        new = new.replace("head.norm.", "norm.").replace("head.fc.", "head.")
        if new.startswith("stages."):
            _, stage, kind, *rest = new.split(".")
            if kind == "downsample":
                new = ".".join(["downsample_layers", stage, *rest])
            else:
                new = ".".join(["stages", stage, *rest])
        renamed[new] = value
    theirs = tmp_path / "theirs.pth"
    torch.save({"model": renamed}, theirs)
    assert set(renamed) != set(model.state_dict())
    ours = build_architecture(BackboneRequest("timm/convnext_atto", native))
    converted = build_architecture(BackboneRequest("timm/convnext_atto", theirs))
    assert converted.weights == ours.weights


def test_conversion_is_strict(vit: SmallModel, tmp_path: Path) -> None:
    """A missing tensor is an error, also where timm's conversion was tried."""
    assert vit.request.weights is not None
    state = load_file(vit.request.weights)
    del state["blocks.1.attn.qkv.weight"]
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(BackboneError, match=r"missing: blocks\.1\.attn\.qkv\.weight"):
        build_architecture(replace(vit.request, weights=tmp_path / "a.safetensors"))


@pytest.mark.parametrize(("pooling", "theirs"), [("avg", "avg"), ("max", "max"), ("cls", "token")])
def test_pooling(vit: SmallModel, pooling: str, theirs: str) -> None:
    """Another pooling gives timm's features with that pooling, of the same weights."""
    architecture = build_architecture(replace(vit.request, pooling=pooling))
    batch = torch.rand(2, 3, 160, 160)
    model: Any = timm.create_model("test_vit")
    assert vit.request.weights is not None
    model.load_state_dict(load_file(vit.request.weights))
    own = model.global_pool
    model.reset_classifier(0, theirs)
    model.eval()
    with torch.no_grad():
        assert torch.equal(architecture.module(batch), model(batch))
    assert architecture.pooling == ("default" if theirs == own else pooling)
    assert architecture.weights == build_architecture(vit.request).weights


def test_own_pooling_is_the_default(resnet: SmallModel) -> None:
    """Asking for the pooling that the model has anyway is no other identity."""
    asked = load_backbone(replace(resnet.request, pooling="avg"), device="cpu")
    assert asked.spec.identity == load_backbone(resnet.request, device="cpu").spec.identity


def test_pooling_that_does_not_exist(resnet: SmallModel) -> None:
    """A convolutional model has no class token."""
    with pytest.raises(BackboneError, match="pooling"):
        load_backbone(replace(resnet.request, pooling="cls"), device="cpu")


def test_architecture_says_what_it_is(vit: SmallModel) -> None:
    """Licence, library, name and files are known."""
    architecture = build(parse_name("timm/test_vit"), replace(vit.request, name="timm/test_vit"))
    assert architecture.name == "timm/test_vit.r160_in1k"
    assert architecture.architecture == "test_vit"
    assert architecture.license == "apache-2.0"
    assert architecture.library == f"timm {timm.__version__}"
    assert [file.path for file in architecture.weight_files] == [vit.request.weights]
