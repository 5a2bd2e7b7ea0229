"""Tests of `embedcache.backbones.load`: features equal each library's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import (
    SmallModel,
    clip_model,
    sample_images,
    timm_model,
    torchvision_model,
)

from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.load import load_backbone
from embedcache.errors import BackboneError, CacheInvalidError
from embedcache.inputs.golden import golden_bytes

MAKERS = {
    "torchvision/resnet18": torchvision_model,
    "timm/test_resnet": timm_model,
    "timm/test_vit": lambda folder: timm_model(folder, "test_vit.r160_in1k"),
    "timm/test_efficientnet": lambda folder: timm_model(folder, "test_efficientnet.r160_in1k"),
    "timm/test_convnext": lambda folder: timm_model(folder, "test_convnext.r160_in1k"),
    "open_clip/tiny-clip": clip_model,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where weight files are made."""
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def resnet(folder: Path) -> SmallModel:
    """A small convolutional model."""
    return timm_model(folder)


@pytest.fixture(scope="module")
def vit(folder: Path) -> SmallModel:
    """A small transformer."""
    return timm_model(folder, "test_vit.r160_in1k")


@pytest.mark.parametrize("name", MAKERS)
def test_equal_to_a_plain_loop(name: str, folder: Path) -> None:
    """Features equal the library's own model and transform, one image at a time."""
    small = MAKERS[name](folder)
    images = sample_images()
    expected = small.loop(images)
    backbone = load_backbone(small.request, device="cpu", batch_size=4)
    batch = np.stack([backbone.prepare(data) for data in images])
    features = backbone.submit(batch).result()
    assert features.dtype == np.float32
    assert features.shape == expected.shape == (len(images), backbone.spec.dim)
    assert np.abs(features - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("maker", [timm_model, clip_model])
def test_independent_of_the_batch(maker: object, folder: Path) -> None:
    """A row's features do not depend on the batch size, nor on which rows came with it."""
    small = maker(folder)  # type: ignore[operator]  # one of two functions
    images = sample_images()
    results = []
    for batch_size in (1, 3, 8):
        backbone = load_backbone(small.request, device="cpu", batch_size=batch_size)
        batch = np.stack([backbone.prepare(data) for data in images])
        whole = backbone.submit(batch).result()
        alone = np.concatenate([backbone.submit(row[None]).result() for row in batch])
        assert np.array_equal(whole, alone)
        results.append(whole)
    for other in results[1:]:
        assert np.abs(other - results[0]).max() <= 1e-4 * np.abs(results[0]).max()


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision(precision: str, resnet: SmallModel) -> None:
    """Lower precision is near float32, not equal to it, and another identity."""
    images = sample_images()[:2]
    exact = load_backbone(resnet.request, device="cpu", batch_size=2)
    request = replace(resnet.request, precision=precision)
    lower = load_backbone(request, device="cpu", batch_size=2)
    batch = np.stack([exact.prepare(data) for data in images])
    a, b = exact.submit(batch).result(), lower.submit(batch).result()
    assert 0 < np.abs(a - b).max() < 0.1 * np.abs(a).max()
    assert lower.spec.identity.differences(exact.spec.identity) == (
        f"precision: {precision} → float32",
    )


def test_one_changed_weight_is_another_identity(resnet: SmallModel, tmp_path: Path) -> None:
    """The smallest change of one weight changes the identity; the classifier's does not."""
    assert resnet.request.weights is not None
    state = load_file(resnet.request.weights)
    identity = load_backbone(resnet.request, device="cpu").spec.identity

    def identity_with(key: str) -> object:
        changed = {**state, key: state[key].clone()}
        first = changed[key].reshape(-1)[:1]
        first.copy_(torch.nextafter(first, torch.ones(1)))
        path = tmp_path / f"{key}.safetensors"
        save_file(changed, path)
        return load_backbone(replace(resnet.request, weights=path), device="cpu").spec.identity

    assert identity_with("conv1.0.weight" if "conv1.0.weight" in state else "conv1.weight") != (
        identity
    )
    assert identity_with("layer1.0.bn1.running_mean") != identity
    assert identity_with("fc.weight") == identity


def test_name_tells_of_a_local_file(resnet: SmallModel) -> None:
    """Features of a local file are not called by the published weights' name alone."""
    spec = load_backbone(resnet.request, device="cpu").spec
    assert spec.name == "timm/test_resnet.r160_in1k@test_resnet.r160_in1k.safetensors"
    assert spec.parameters == sum(
        value.numel() for key, value in resnet.model.named_parameters() if "fc" not in key
    )


def test_image_size_of_a_convolutional_model(resnet: SmallModel) -> None:
    """A convolutional model takes another size; the resize grows in proportion."""
    request = replace(resnet.request, image_size=320)
    identity = load_backbone(request, device="cpu").spec.identity
    usual = load_backbone(resnet.request, device="cpu").spec.identity
    assert usual.image_size == "160x160"
    assert identity.image_size == "320x320"
    before, after = (int(text.resize_to.split("x")[0]) for text in (usual, identity))
    assert abs(after - 2 * before) <= 1
    assert identity.weights == usual.weights


def test_image_size_of_a_transformer(vit: SmallModel) -> None:
    """A ViT takes another size, its position embeddings resampled as timm resamples them."""
    import timm

    backbone = load_backbone(replace(vit.request, image_size=224), device="cpu", batch_size=1)
    assert backbone.spec.identity.image_size == "224x224"
    assert vit.request.weights is not None
    theirs = timm.create_model(
        "test_vit",
        pretrained=True,
        num_classes=1000,
        img_size=224,
        pretrained_cfg_overlay={"file": str(vit.request.weights), "num_classes": 1000},
    ).eval()
    theirs.reset_classifier(0)
    data = timm.data.resolve_data_config(
        {"input_size": (3, 224, 224)}, pretrained_cfg=theirs.pretrained_cfg
    )
    transform = timm.data.create_transform(**data)
    from embedcache.inputs.images import decode_rgb

    with torch.no_grad():
        expected = theirs(transform(decode_rgb(golden_bytes()))[None]).numpy()
    features = backbone.submit(backbone.prepare(golden_bytes())[None]).result()
    assert np.abs(features - expected).max() <= 1e-4 * np.abs(expected).max()
    usual = load_backbone(vit.request, device="cpu")
    assert usual.spec.identity.weights == backbone.spec.identity.weights


def test_image_size_that_does_not_fit(vit: SmallModel, folder: Path) -> None:
    """A size that is no multiple of the patch, or a model of fixed size, is a clear error."""
    with pytest.raises(BackboneError, match=r"image size|images of this size"):
        load_backbone(replace(vit.request, image_size=150), device="cpu")
    with pytest.raises(BackboneError, match="pixels"):
        load_backbone(replace(vit.request, image_size=0), device="cpu")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"precision": "float8"}, "precision"),
        ({"stored_dtype": "float64"}, "store-dtype"),
        ({"pooling": "median"}, "pooling"),
        ({"weights": Path("/no/such/file.pth")}, "no such weight file"),
        ({"name": "timm/test_resne"}, "no such model"),
        ({"name": "timm/test_resnet.of_mine"}, "no such weights"),
    ],
)
def test_impossible_requests(resnet: SmallModel, change: dict[str, object], words: str) -> None:
    """What cannot be had is refused in words that name it."""
    with pytest.raises(BackboneError, match=words):
        load_backbone(replace(resnet.request, **change), device="cpu")  # type: ignore[arg-type]


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "cuda:-1", "cpu:1", "cuda:x", ""])
def test_impossible_devices(resnet: SmallModel, device: str) -> None:
    """A device that does not exist is refused before anything is loaded."""
    with pytest.raises(BackboneError, match="device"):
        load_backbone(resnet.request, device=device)


def test_weights_of_another_architecture(vit: SmallModel, resnet: SmallModel) -> None:
    """Weights that do not fit are refused, with the first few keys."""
    with pytest.raises(BackboneError, match=r"(?s)do not fit.*missing.*unexpected"):
        load_backbone(replace(resnet.request, weights=vit.request.weights), device="cpu")


def test_default_batch_size(resnet: SmallModel) -> None:
    """On a CPU, 16 images pass at once unless another number is asked for."""
    assert load_backbone(resnet.request, device="cpu").numerics.batch_size == 16
    assert load_backbone(resnet.request, device="cpu", batch_size=7).numerics.batch_size == 7


def test_damaged_weights(tmp_path: Path) -> None:
    """A damaged weight file has the exit code of damaged files."""
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"\xff" * 100)
    with pytest.raises(CacheInvalidError) as caught:
        load_backbone(BackboneRequest("timm/test_resnet", path), device="cpu")
    assert caught.value.exit_code == 4


@pytest.mark.slow
def test_compiled(resnet: SmallModel) -> None:
    """A compiled model gives the same features, and the numerics say that it is compiled."""
    images = sample_images()
    plain = load_backbone(resnet.request, device="cpu", batch_size=4)
    compiled = load_backbone(resnet.request, device="cpu", batch_size=4, compile=True)
    batch = np.stack([plain.prepare(data) for data in images])
    expected, features = plain.submit(batch).result(), compiled.submit(batch).result()
    assert np.abs(features - expected).max() <= 1e-4 * np.abs(expected).max()
    assert compiled.numerics.engine == "compiled"
    assert compiled.spec == plain.spec
