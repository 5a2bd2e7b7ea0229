"""The parity check sees what would start a training elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_models import sample_images

from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.load import build_architecture, load_backbone
from embedcache.errors import DriftError
from embedcache.finetuning.classifier import Classifier
from embedcache.finetuning.parity import check_parity, parity_gap
from embedcache.heads.forms.linear import Linear
from embedcache.inputs.images import decode_rgb
from embedcache.inputs.preprocess import Preprocessing

REQUEST = BackboneRequest("bundled/efficientnet_lite0", image_size=64)


@dataclass(frozen=True, eq=False)
class Cached:
    features: NDArray[np.float16]
    head: Linear


@pytest.fixture(scope="module")
def cached() -> Cached:
    """Features by the backbone that extracts, folded and all, and a random head."""
    backbone = load_backbone(REQUEST, device="cpu")
    pixels = np.stack([backbone.prepare(data) for data in sample_images()])
    features = backbone.submit(pixels).result().astype(np.float16)
    rng = np.random.default_rng(0)
    return Cached(features, Linear(rng.normal(0, 0.05, (3, 1280)), rng.normal(size=3)))


def logits(
    head: Linear,
    change: Callable[[Preprocessing], Preprocessing] = lambda given: given,
    spoil: Callable[[torch.nn.Module], None] = lambda _: None,
) -> NDArray[np.float32]:
    architecture = build_architecture(REQUEST)
    spoil(architecture.module)
    preprocessing = change(architecture.preprocessing)
    model = Classifier(architecture.module, preprocessing, head).eval()
    pixels = np.stack([preprocessing.apply(decode_rgb(data)) for data in sample_images()])
    with torch.no_grad():
        return model(torch.from_numpy(pixels)).numpy()


def test_what_is_right_passes(cached: Cached) -> None:
    """The unfolded model with the head in float32 is within a tenth of the tolerance."""
    found = logits(cached.head)
    assert check_parity(found, cached.features, cached.head, "float32") < 0.002


def _half_loaded(module: torch.nn.Module) -> None:
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.startswith("blocks.6") and parameter.ndim == 4:
                parameter.normal_(0, 0.05, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("change", "spoil"),
    [
        (lambda given: replace(given, mean=(0.485, 0.456, 0.406)), None),
        (lambda given: replace(given, std=(0.229, 0.224, 0.225)), None),
        (lambda given: replace(given, interpolation="bilinear"), None),
        (lambda given: replace(given, resize="squash"), None),
        (None, _half_loaded),
    ],
    ids=["mean", "std", "bilinear", "squash", "half-loaded"],
)
def test_what_is_wrong_does_not(cached: Cached, change: object, spoil: object) -> None:
    """Another mean, deviation, interpolation or shape, and a backbone loaded in part."""
    given = {name: each for name, each in (("change", change), ("spoil", spoil)) if each}
    with pytest.raises(DriftError, match="start elsewhere"):
        check_parity(logits(cached.head, **given), cached.features, cached.head, "float32")


def test_swapped_classes_do_not(cached: Cached) -> None:
    """Columns in another order."""
    with pytest.raises(DriftError):
        check_parity(logits(cached.head)[:, [1, 0, 2]], cached.features, cached.head, "float32")


def test_no_number_does_not(cached: Cached) -> None:
    """NaN is no parity."""
    wrong = np.full((len(cached.features), 3), np.nan, np.float32)
    with pytest.raises(DriftError):
        check_parity(wrong, cached.features, cached.head, "float32")


def test_the_unit_is_what_moves_a_logit() -> None:
    """Features off by a thousandth at random make a gap of about a thousandth."""
    rng = np.random.default_rng(0)
    features, head = rng.normal(size=(50, 400)), Linear(rng.normal(size=(2, 400)), np.zeros(2))
    off = head.logits(features * (1 + 1e-3 * rng.normal(size=features.shape)))
    assert 1e-3 < parity_gap(off, features, head) < 5e-3
