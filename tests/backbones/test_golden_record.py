"""Tests of `embedcache.backbones.golden_record`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders import NUMERICS
from numpy.typing import NDArray
from small_models import SmallModel, timm_model

from embedcache.backbones.base import Pending
from embedcache.backbones.golden_record import (
    PIXEL_TOLERANCE,
    TOLERANCES,
    GoldenRecord,
    check_golden,
    make_golden,
)
from embedcache.backbones.load import load_backbone
from embedcache.backbones.torch_backbone import TorchBackbone
from embedcache.errors import DriftError
from embedcache.inputs.preprocess import Preprocessing
from embedcache.records.backbone import BackboneSpec
from embedcache.records.identity import Numerics


@dataclass
class Other:
    """A backbone like another one, but for what a test changes."""

    backbone: TorchBackbone
    pixels: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] = lambda pixels: pixels
    features: Callable[[NDArray[np.float32]], NDArray[np.float32]] = lambda features: features

    @property
    def spec(self) -> BackboneSpec:
        return self.backbone.spec

    @property
    def numerics(self) -> Numerics:
        return NUMERICS

    def prepare(self, data: bytes) -> NDArray[np.uint8]:
        return self.pixels(self.backbone.prepare(data))

    def submit(self, batch: NDArray[np.uint8]) -> Pending:
        features = self.features(self.backbone.submit(batch).result())

        class Done:
            def result(self) -> NDArray[np.float32]:
                return features

        return Done()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    """A small model."""
    return timm_model(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def backbone(small: SmallModel) -> TorchBackbone:
    """The same model, loaded."""
    return load_backbone(small.request, device="cpu", batch_size=1)


@pytest.fixture(scope="module")
def record(backbone: TorchBackbone) -> GoldenRecord:
    """Its golden record."""
    return make_golden(backbone)


def test_round_trip(record: GoldenRecord) -> None:
    """A record survives JSON bit for bit."""
    again = GoldenRecord.from_json(json.loads(json.dumps(record.to_json())))
    assert again.digest == record.digest
    assert np.array_equal(again.sample, record.sample)
    assert np.array_equal(again.embedding, record.embedding)
    assert again.sample.shape == (32, 32, 3)


@pytest.mark.parametrize(
    "change",
    [{"digest": 1}, {"extra": 1}, {"sample": "?"}, {"sample_shape": [1, 2]}, {"embedding": "AAA="}],
)
def test_damaged_json(record: GoldenRecord, change: dict[str, Any]) -> None:
    """A record of another shape is refused."""
    with pytest.raises(ValueError, match=r".+"):
        GoldenRecord.from_json({**record.to_json(), **change})


def test_same_environment(backbone: TorchBackbone, record: GoldenRecord) -> None:
    """The environment that made a record reproduces it."""
    check_golden(backbone, record)


def test_other_engine(small: SmallModel, record: GoldenRecord) -> None:
    """Other batch sizes and an unfolded model reproduce it too."""
    check_golden(load_backbone(small.request, device="cpu", batch_size=3), record)


def test_pixels_within_rounding(backbone: TorchBackbone, record: GoldenRecord) -> None:
    """A decoder that rounds otherwise is no drift."""
    check_golden(Other(backbone, pixels=lambda x: x ^ np.uint8(1)), record)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: np.where(x < 128, x + PIXEL_TOLERANCE + 1, x), "decoding or resizing"),
        (lambda x: x[:, ::-1], "decoding or resizing"),
        (lambda x: x[:-40], "decoding or resizing"),
        (lambda x: x[:20], "input size"),
    ],
)
def test_pixel_drift(
    backbone: TorchBackbone, record: GoldenRecord, change: Any, words: str
) -> None:
    """Pixels that differ by more than rounding are a drift of decoding or resizing."""
    with pytest.raises(DriftError, match=words) as caught:
        # The texture has the size of the pixels, so only the pixels may be what differs.
        check_golden(Other(backbone, pixels=lambda x: change(x).astype(np.uint8)), record)
    assert caught.value.exit_code == 4
    assert "--overwrite" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "change",
    [
        {"interpolation": "bicubic"},
        {"interpolation": "nearest"},
        {"resize": "squash"},
        {"resize_to": (188, 188)},
        {"resize": "longest", "fill": (0, 0, 0)},
    ],
)
def test_preprocessing_drift(
    backbone: TorchBackbone, record: GoldenRecord, change: dict[str, Any]
) -> None:
    """The sample tells every other preprocessing: interpolation, squash, crop, size."""
    from embedcache.inputs.golden import golden_bytes
    from embedcache.inputs.images import decode_rgb

    other = replace(Preprocessing.from_identity(backbone.spec.identity), **change)
    pixels = other.apply(decode_rgb(golden_bytes()))
    with pytest.raises(DriftError, match="decoding or resizing"):
        check_golden(Other(backbone, pixels=lambda _: pixels), record)


def test_orientation_drift(backbone: TorchBackbone, record: GoldenRecord) -> None:
    """A decoder that ignores EXIF orientation is told."""
    import io

    from PIL import Image

    from embedcache.inputs.golden import golden_bytes

    lying = Image.open(io.BytesIO(golden_bytes())).convert("RGB")
    pixels = Preprocessing.from_identity(backbone.spec.identity).apply(lying)
    with pytest.raises(DriftError, match="decoding or resizing"):
        check_golden(Other(backbone, pixels=lambda _: pixels), record)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x * (1 + 10 * TOLERANCES["float32"]),
        lambda x: np.roll(x, 1, axis=1),
        lambda x: x * np.nan,
        lambda x: x.astype(np.float16).astype(np.float32),
    ],
)
def test_model_drift(backbone: TorchBackbone, record: GoldenRecord, change: Any) -> None:
    """Features that differ by more than rounding, NaN included, are a drift of the model."""
    with pytest.raises(DriftError, match="model's output"):
        check_golden(Other(backbone, features=change), record)


def test_a_record_of_nan_is_never_met(backbone: TorchBackbone, record: GoldenRecord) -> None:
    """A broken model's record is a drift, not a free pass, for sound and broken ones alike."""
    nan = replace(record, embedding=np.full_like(record.embedding, np.nan))
    for other in (backbone, Other(backbone, features=lambda x: x * np.nan)):
        with pytest.raises(DriftError, match="model's output"):
            check_golden(other, nan)


def test_dimension_drift(backbone: TorchBackbone, record: GoldenRecord) -> None:
    """Another number of features is a drift."""
    with pytest.raises(DriftError, match="dimension"):
        check_golden(Other(backbone, features=lambda x: x[:, :-1]), record)


def test_one_weight_off(small: SmallModel, record: GoldenRecord, tmp_path: Path) -> None:
    """A model of which one layer is off is told by the embedding alone."""
    from safetensors.torch import load_file, save_file

    assert small.request.weights is not None
    state = load_file(small.request.weights)
    state["layer1.0.bn1.weight"] = state["layer1.0.bn1.weight"] * 1.01
    save_file(state, tmp_path / "a.safetensors")
    request = replace(small.request, weights=tmp_path / "a.safetensors")
    with pytest.raises(DriftError, match="model's output"):
        check_golden(load_backbone(request, device="cpu", batch_size=1), record)


def test_tf32_would_be_a_drift(small: SmallModel, record: GoldenRecord) -> None:
    """Weights rounded to TF32's ten bits of mantissa are outside the float32 tolerance."""
    backbone = load_backbone(small.request, device="cpu", batch_size=1)
    with torch.no_grad():
        for parameter in backbone._module.parameters():
            bits = parameter.view(torch.int32) & ~0x1FFF
            parameter.copy_(bits.view(torch.float32))
    with pytest.raises(DriftError, match="model's output"):
        check_golden(backbone, record)
