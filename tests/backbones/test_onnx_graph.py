"""One ONNX graph gives what backbone and head give."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from small_models import SmallModel, clip_model, torchvision_model
from torch import nn

from embedcache.backbones.load import build_architecture, load_backbone
from embedcache.backbones.onnx_graph import INPUT, OUTPUTS, onnx_bytes, run_onnx
from embedcache.errors import BackboneError
from embedcache.inputs.golden import texture
from embedcache.inputs.preprocess import Preprocessing

_PREPROCESSING = Preprocessing(
    "squash", (8, 8), (8, 8), "bilinear", None, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
)


class _Corners(nn.Module):
    """A backbone of twelve features: the pixels of the corners."""

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        return planes[:, :, ::7, ::7].flatten(1)


def _export(
    stored: str = "float32", tower: nn.Module | None = None, *, several: bool = False
) -> bytes:
    head = nn.Linear(12, 3)
    nn.init.constant_(head.weight, 0.1)
    nn.init.constant_(head.bias, 0.5)
    note = {"note": "größe"}
    return onnx_bytes(tower or _Corners(), _PREPROCESSING, stored, head, note, several=several)


def test_input_and_outputs_are_as_documented() -> None:
    """uint8 pixels of any number of images, probabilities and features."""
    model = onnx.load_from_string(_export())
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (given,) = session.get_inputs()
    assert (given.name, given.type) == (INPUT, "tensor(uint8)")
    assert given.shape[1:] == [8, 8, 3]
    assert isinstance(given.shape[0], str)
    assert tuple(output.name for output in session.get_outputs()) == OUTPUTS
    assert {item.key: item.value for item in model.metadata_props}["note"] == "größe"


@pytest.mark.parametrize("stored", ["float16", "float32"])
def test_normalisation_and_rounding_are_in_the_graph(stored: str) -> None:
    """Features are those of the cache."""
    pixels = np.stack([texture(8, 8), texture(8, 8)[::-1]])
    session = onnxruntime.InferenceSession(_export(stored))
    probabilities, features = session.run(None, {INPUT: pixels})
    planes = pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255
    mean = np.array(_PREPROCESSING.mean, np.float32)[:, None, None]
    std = np.array(_PREPROCESSING.std, np.float32)[:, None, None]
    expected = ((planes - mean) / std)[:, :, ::7, ::7].reshape(2, 12)
    np.testing.assert_allclose(features, expected.astype(stored), rtol=1e-3, atol=1e-6)
    assert (features == features.astype(stored)).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


def test_labels_have_a_probability_each() -> None:
    """The sigmoid of each logit, where a row may have any number of labels."""
    pixels = np.stack([texture(8, 8), texture(8, 8)[::-1]])
    session = onnxruntime.InferenceSession(_export(several=True))
    probabilities, features = session.run(None, {INPUT: pixels})
    expected = 1 / (1 + np.exp(-(0.1 * features.sum(axis=1, keepdims=True) + 0.5)))
    np.testing.assert_allclose(probabilities, np.tile(expected, (1, 3)), rtol=1e-5)


def test_what_pytorch_cannot_export_is_refused() -> None:
    """A branch that depends on the pixels, with PyTorch's own words."""

    class Odd(nn.Module):
        def forward(self, planes: torch.Tensor) -> torch.Tensor:
            if planes.sum() > 0:
                return planes.flatten(1)[:, :12]
            return planes.flatten(1)[:, 12:24]

    with pytest.raises(BackboneError, match="cannot export"):
        _export(tower=Odd())


def test_a_model_that_no_file_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is exported."""
    monkeypatch.setattr("embedcache.backbones.onnx_graph._LARGEST", 100)
    with pytest.raises(BackboneError, match="too large"):
        _export()


def _features_agree(small: SmallModel) -> None:
    architecture = build_architecture(small.request)
    backbone = load_backbone(small.request, device="cpu", batch_size=2)
    side = architecture.preprocessing.image_size
    pixels = np.stack([texture(*side), texture(*side)[::-1].copy(), np.zeros((*side, 3), np.uint8)])
    head = nn.Identity()
    data = onnx_bytes(architecture.module, architecture.preprocessing, "float32", head, {})
    session = onnxruntime.InferenceSession(data)
    features = session.run(["features"], {INPUT: pixels})[0]
    expected = backbone.submit(pixels).result()
    assert np.abs(features - expected).max() <= 1e-4 * np.abs(expected).max()
    assert run_onnx(data, pixels[:1]).shape == (1, backbone.spec.dim)


def test_a_convolutional_net_of_timm(convnet: SmallModel) -> None:
    """Batch norms, folded there and not here, agree."""
    _features_agree(convnet)


def test_a_transformer_of_timm(transformer: SmallModel) -> None:
    """Attention and position embeddings."""
    _features_agree(transformer)


def test_a_tower_of_open_clip(tmp_path: Path) -> None:
    """Its forward hook and its attention."""
    _features_agree(clip_model(tmp_path))


@pytest.mark.slow
def test_a_model_of_torchvision(tmp_path: Path) -> None:
    """ResNet-18 as it is."""
    _features_agree(torchvision_model(tmp_path))
