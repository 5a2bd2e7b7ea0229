"""Tests of `embedcache.backbones.golden_record`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from builders import IDENTITY, NUMERICS
from numpy.typing import NDArray
from PIL import Image
from small_models import SmallModel

from embedcache.backbones.golden_record import (
    PIXEL_TOLERANCE,
    TOLERANCES,
    GoldenRecord,
    check_golden,
    make_golden,
)
from embedcache.backbones.load import load_backbone
from embedcache.errors import DriftError
from embedcache.inputs.golden import golden_bytes
from embedcache.inputs.images import decode_rgb
from embedcache.inputs.preprocess import Preprocessing
from embedcache.records.backbone import BackboneSpec

CROP = Preprocessing(
    "shortest", (64, 64), (56, 56), "bicubic", None, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
)


class Done:
    """Features that are there already."""

    def __init__(self, features: NDArray[np.float32]) -> None:
        self.features = features

    def result(self) -> NDArray[np.float32]:
        return self.features


class Probe:
    """A backbone of which every stage can be made to drift."""

    def __init__(self, preprocessing: Preprocessing = CROP, precision: str = "float32") -> None:
        self.preprocessing = preprocessing
        identity = replace(IDENTITY, precision=precision, **preprocessing.to_strings())
        self.spec = BackboneSpec("fake/probe", identity, 3, 0, "")
        self.numerics = NUMERICS
        self.pixel_error = 0
        self.factor = 1.0
        self.dim = 3

    def prepare(self, data: bytes) -> NDArray[np.uint8]:
        pixels = self.preprocessing.apply(decode_rgb(data)).astype(int)
        error = np.zeros_like(pixels)
        error[::2] = self.pixel_error
        return np.clip(np.where(pixels > 127, pixels - error, pixels + error), 0, 255).astype(
            np.uint8
        )

    def submit(self, batch: NDArray[np.uint8]) -> Done:
        means = batch.reshape(len(batch), -1, 3).mean(1)[:, : self.dim]
        return Done((means * self.factor).astype(np.float32))


def sampled(preprocessing: Preprocessing) -> NDArray[Any]:
    """The pixels that a record keeps of the golden image."""
    return make_golden(Probe(preprocessing)).sample.astype(int)


@pytest.mark.parametrize(
    "change",
    [
        {"resize": "squash"},
        {"resize": "longest", "fill": (0, 0, 0)},
        {"interpolation": "bilinear"},
        {"interpolation": "nearest"},
        {"resize_to": (60, 60)},
        {"resize_to": (64, 66)},
    ],
)
def test_the_golden_image_tells_preprocessing_apart(change: dict[str, Any]) -> None:
    """Squash against crop, bilinear against bicubic and one pixel of size show by far."""
    difference = np.abs(sampled(replace(CROP, **change)) - sampled(CROP)).max()
    assert difference > 5 * PIXEL_TOLERANCE


def test_the_golden_image_tells_orientation() -> None:
    """A decoder that ignored EXIF would give other pixels by far."""
    upright = decode_rgb(golden_bytes())
    lying = np.asarray(upright.transpose(Image.Transpose.ROTATE_90))
    pixels = CROP.apply(Image.fromarray(lying)).astype(int)
    assert np.abs(pixels - CROP.apply(upright)).max() > 10 * PIXEL_TOLERANCE


def test_nothing_changed_passes() -> None:
    """A record made here is met here, twice."""
    record = make_golden(Probe())
    check_golden(Probe(), record)
    check_golden(Probe(), GoldenRecord.from_json(json.loads(json.dumps(record.to_json()))))


@pytest.mark.parametrize("error", [1, PIXEL_TOLERANCE])
def test_rounding_of_decoders_passes(error: int) -> None:
    """Pixels that differ by as little as two decoders do are no drift."""
    record = make_golden(Probe())
    rounded = Probe()
    rounded.pixel_error = error
    assert make_golden(rounded).digest != record.digest
    check_golden(rounded, record)


def test_pixel_drift_is_named() -> None:
    """Pixels that differ by more say how much, and where it was computed."""
    record = make_golden(Probe())
    drifted = Probe()
    drifted.pixel_error = PIXEL_TOLERANCE + 1
    with pytest.raises(DriftError, match="decoding or resizing has drifted") as caught:
        check_golden(drifted, record)
    assert caught.value.got == f"{PIXEL_TOLERANCE + 1} of 255"
    assert "fake/probe on cpu" in (caught.value.where or "")
    assert "--overwrite" in (caught.value.hint or "")


@pytest.mark.parametrize("precision", TOLERANCES)
def test_drift_of_the_model_is_named(precision: str) -> None:
    """Each precision has its tolerance: just below passes, just above is a drift."""
    record = make_golden(Probe(precision=precision))
    near, far = Probe(precision=precision), Probe(precision=precision)
    near.factor = 1 + 0.9 * TOLERANCES[precision]
    far.factor = 1 + 1.1 * TOLERANCES[precision]
    check_golden(near, record)
    with pytest.raises(DriftError, match="the model's output has drifted"):
        check_golden(far, record)


@pytest.mark.parametrize("factor", [np.nan, np.inf, -1.0, 0.0])
def test_broken_models_drift(factor: float) -> None:
    """NaN compares as nothing does, and is a drift all the same."""
    record = make_golden(Probe())
    broken = Probe()
    broken.factor = factor
    with pytest.raises(DriftError, match="the model's output"):
        check_golden(broken, record)


def test_a_record_of_nan_is_never_met() -> None:
    """A record that was written by a broken model is a drift, not a free pass."""
    record = make_golden(Probe())
    nan = replace(record, embedding=np.full_like(record.embedding, np.nan))
    with pytest.raises(DriftError, match="the model's output"):
        check_golden(Probe(), nan)


def test_other_sizes_are_named() -> None:
    """Another input size or dimension is said as such."""
    record = make_golden(Probe())
    with pytest.raises(DriftError, match="the input size has drifted"):
        check_golden(Probe(replace(CROP, image_size=(20, 30))), record)
    narrow = Probe()
    narrow.dim = 2
    with pytest.raises(DriftError, match="the dimension has drifted"):
        check_golden(narrow, record)


def test_a_changed_record_is_a_drift() -> None:
    """One changed pixel or feature in the record itself is found too."""
    record = make_golden(Probe())
    sample = record.sample.copy()
    sample[3, 4, 1] ^= 128
    with pytest.raises(DriftError, match="decoding or resizing"):
        check_golden(Probe(), replace(record, sample=sample, digest="0" * 64))
    embedding = record.embedding.copy()
    embedding[1] *= 1.01
    with pytest.raises(DriftError, match="the model's output"):
        check_golden(Probe(), replace(record, embedding=embedding))


def test_a_record_is_small() -> None:
    """It lies in every cache and every run: a few kilobytes of JSON."""
    assert len(json.dumps(make_golden(Probe()).to_json())) < 6000


def test_tiny_inputs_have_a_record() -> None:
    """An input smaller than the sample is kept whole."""
    tiny = replace(CROP, resize_to=(8, 8), image_size=(5, 8))
    assert make_golden(Probe(tiny)).sample.shape == (5, 8, 3)


def test_a_real_model_meets_its_own_record(convnet: SmallModel) -> None:
    """Another batch size meets the record; one changed weight of the first layer does not."""
    record = make_golden(load_backbone(convnet.request, device="cpu", batch_size=1))
    backbone = load_backbone(convnet.request, device="cpu", batch_size=3)
    check_golden(backbone, record)
    module: Any = backbone._module
    with torch.no_grad():
        next(module.parameters())[0, 0].add_(0.5)
    with pytest.raises(DriftError, match="the model's output"):
        check_golden(backbone, record)


@pytest.mark.parametrize(
    "change",
    [
        {"digest": 1},
        {"sample": "not base64!"},
        {"sample": "AAAA"},
        {"sample_shape": [32, 32]},
        {"embedding": "AAA="},
        {"embedding": None},
        {"more": 1},
    ],
)
def test_damaged_records_are_refused(change: dict[str, Any]) -> None:
    """Fields that are missing, unknown, of another type or length raise `ValueError`."""
    value = make_golden(Probe()).to_json()
    with pytest.raises(ValueError, match=r".+"):
        GoldenRecord.from_json({**value, **change})


@pytest.mark.parametrize("value", [None, [], "x", {}])
def test_what_is_no_record_is_refused(value: object) -> None:
    """Anything else is refused too."""
    with pytest.raises(ValueError, match="not a golden record"):
        GoldenRecord.from_json(value)
