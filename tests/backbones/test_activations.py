"""Activations are features of the lower part of a backbone, with an identity of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import SmallModel, sample_images, timm_model

from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.load import build_architecture, load_backbone
from embedcache.backbones.splitting import split_at
from embedcache.errors import BackboneError
from embedcache.inputs.images import decode_rgb

BOUNDARY = "layer3.0"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    """A small ResNet of timm with random weights."""
    return timm_model(tmp_path_factory.mktemp("weights"))


@torch.no_grad()
def test_the_feature_is_the_flattened_activation(model: SmallModel) -> None:
    """What the backbone gives is what the lower part gives, row by row."""
    backbone = load_backbone(replace(model.request, layer=BOUNDARY), device="cpu")
    lower, _ = split_at(build_architecture(model.request).module, BOUNDARY)
    images = sample_images()[:3]
    features = backbone.submit(np.stack([backbone.prepare(data) for data in images])).result()
    expected = torch.cat(
        [lower(model.transform(decode_rgb(data))[None]).flatten(1) for data in images]
    )
    assert features.shape == expected.shape == (3, backbone.spec.dim)
    np.testing.assert_allclose(features, expected.numpy(), atol=1e-4 * float(expected.abs().max()))


def test_the_identity_is_that_of_the_lower_part(model: SmallModel, tmp_path: Path) -> None:
    """A tensor above the boundary does not change it; one below, the block and the view do."""
    assert model.request.weights is not None
    state = load_file(model.request.weights)

    def digest(changed: str | None = None, **reading: str | None) -> str:
        tensors = {name: value.clone() for name, value in state.items()}
        if changed is not None:
            tensors[changed] += 1
        path = tmp_path / "weights.safetensors"
        save_file(tensors, path)
        request = replace(model.request, weights=path, **{"layer": BOUNDARY, **reading})
        return load_backbone(request, device="cpu").spec.identity.digest

    plain = digest()
    assert digest("layer3.0.conv1.weight") == plain
    others = [
        digest("layer2.0.conv1.weight"),
        digest("bn1.running_mean"),
        digest(layer="layer4.0"),
        digest(layer=None),
        digest(view="crop-1-0"),
        digest(view="crop-2-0"),
    ]
    assert len({plain, *others}) == 7


def test_a_view_changes_the_prepared_image(model: SmallModel) -> None:
    """A backbone with a view prepares the view of each image."""
    (image, *_) = sample_images()
    plain = load_backbone(model.request, device="cpu").prepare(image)
    request = replace(model.request, layer=BOUNDARY, view="crop-1-0")
    assert not np.array_equal(load_backbone(request, device="cpu").prepare(image), plain)


def test_a_request_for_features_is_written_as_before() -> None:
    """Layer and view have keys only where they are asked for, and are read back."""
    request = BackboneRequest("timm/x")
    assert len(request.to_json()) == 6
    reading = replace(request, layer="blocks.1", view="crop-1-0")
    for each in (request, reading, replace(request, layer="blocks.1")):
        assert BackboneRequest.from_json(each.to_json()) == each


def test_an_unknown_block_is_refused(model: SmallModel) -> None:
    """The error lists the blocks."""
    with pytest.raises(BackboneError, match=r"layer4\.0"):
        load_backbone(replace(model.request, layer="layer9"), device="cpu")
