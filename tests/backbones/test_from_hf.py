"""Tests of `embedcache.backbones.from_hf` and `hf_processor`, on small random models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from huggingface_hub import constants
from PIL import Image

from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.hf_processor import read_processor
from embedcache.backbones.load import build_architecture, load_backbone
from embedcache.errors import BackboneError, WeightsUnavailableError

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
MODELS: dict[str, tuple[Any, Any]] = {
    "vit": (
        transformers.ViTConfig(**SMALL, intermediate_size=32, image_size=32, patch_size=8),
        transformers.ViTImageProcessor(size={"height": 32, "width": 32}),
    ),
    "dinov2": (
        transformers.Dinov2Config(**SMALL, image_size=56, patch_size=14),
        transformers.BitImageProcessor(
            size={"shortest_edge": 48}, crop_size={"height": 42, "width": 42}
        ),
    ),
    "convnext": (
        transformers.ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1]),
        transformers.ConvNextImageProcessor(size={"shortest_edge": 64}, crop_pct=0.875),
    ),
}


def save(folder: Path, kind: str, **changes: Any) -> Path:
    config, processor = MODELS[kind]
    config = type(config).from_dict({**config.to_dict(), **changes})
    torch.manual_seed(0)
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("kind", "default"), [("vit", "cls"), ("dinov2", "cls"), ("convnext", "pooler")]
)
def test_features_are_the_librarys(tmp_path: Path, kind: str, default: str) -> None:
    """Of each pooling, for the images that its own processor prepares."""
    folder = save(tmp_path, kind)
    theirs = transformers.AutoModel.from_pretrained(folder).eval()
    assert build_architecture(BackboneRequest(f"hf/{folder}")).pooling == default
    for pooling in {"pooler", "avg", default}:
        architecture = build_architecture(BackboneRequest(f"hf/{folder}", pooling=pooling))
        batch = torch.rand(2, 3, *architecture.preprocessing.image_size)
        with torch.no_grad():
            output, found = theirs(batch), architecture.module(batch)
        hidden = output.last_hidden_state
        mean = hidden.mean((2, 3)) if hidden.ndim == 4 else hidden[:, 1:].mean(1)
        expected = {"pooler": output.pooler_output, "avg": mean, "cls": hidden[:, 0]}[pooling]
        assert torch.allclose(found, expected, atol=1e-6)
        assert architecture.pooling == pooling


@pytest.mark.parametrize("kind", MODELS)
def test_preprocessing_is_the_librarys(tmp_path: Path, kind: str) -> None:
    """Pixels before normalisation differ from transformers' own by rounding alone.

    But for a crop of 3, 7, … columns, which lies one pixel further.
    """
    processor = MODELS[kind][1]
    processor.save_pretrained(tmp_path)
    preprocessing = read_processor(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (9, 13, 3)).astype(np.uint8)
    image = Image.fromarray(pixels).resize((131, 90), Image.Resampling.BICUBIC)
    ours = preprocessing.apply(image).astype(float)
    shift = kind == "dinov2"  # 69 columns to 42
    theirs = processor(image, return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)
    theirs = (theirs * preprocessing.std + preprocessing.mean) * 255
    assert ours.shape == theirs.shape
    width = ours.shape[1] - shift
    assert np.abs(ours[:, :width] - theirs[:, shift:]).max() <= 1.5


def test_configuration_is_in_the_identity(tmp_path: Path) -> None:
    """The same tensors with another activation are another backbone; labels are nothing."""
    made = [
        load_backbone(
            BackboneRequest(f"hf/{save(tmp_path / name, 'vit', **changes)}"), device="cpu"
        )
        for name, changes in (
            ("a", {}),
            ("b", {"hidden_act": "relu"}),
            ("c", {"id2label": {0: "cat"}, "label2id": {"cat": 0}}),
        )
    ]
    first, relu, labels = (each.spec.identity for each in made)
    assert first.weights == relu.weights
    assert first.digest == labels.digest != relu.digest


def test_a_classifier_is_of_no_interest(tmp_path: Path) -> None:
    """Its file has no pooler, which is then refused instead of being random."""
    save(tmp_path, "vit")
    transformers.ViTForImageClassification(MODELS["vit"][0]).save_pretrained(tmp_path)
    name = f"hf/{tmp_path}"
    assert build_architecture(BackboneRequest(name)).pooling == "cls"
    with pytest.raises(BackboneError, match="does not have this pooling") as caught:
        build_architecture(BackboneRequest(name, pooling="pooler"))
    assert caught.value.expected == "cls, avg"


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    """A missing layer is an error, not a random one."""
    save(tmp_path, "vit")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(BackboneError, match="do not fit"):
        build_architecture(BackboneRequest(f"hf/{tmp_path}"))


def test_weights_option(tmp_path: Path) -> None:
    """A weight file brings the configuration beside it; no network is asked."""
    folder = save(tmp_path, "dinov2")
    request = BackboneRequest("hf/facebook/dinov2-small", weights=folder / "model.safetensors")
    spec = load_backbone(request, device="cpu").spec
    assert spec.name == "hf/facebook/dinov2-small@model.safetensors"
    assert spec.dim == 16


@pytest.mark.parametrize(
    "changes", [{"do_normalize": False}, {"resample": 1}, {"do_rescale": False}]
)
def test_steps_that_are_not_reproduced(tmp_path: Path, changes: dict[str, Any]) -> None:
    """A processor that does something else is refused."""
    path = save(tmp_path, "vit") / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(BackboneError, match="does not reproduce"):
        read_processor(tmp_path)


def test_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how to get the files."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsUnavailableError, match="hf download owner/model"):
        build_architecture(BackboneRequest("hf/owner/model"))


def test_neither_a_folder_nor_a_name() -> None:
    """The forms that exist are named."""
    with pytest.raises(BackboneError, match="hf/OWNER/MODEL"):
        build_architecture(BackboneRequest("hf/nothing"))
