"""Tests of `embedcache.backbones.torch_backbone`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from builders import IDENTITY
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms

from embedcache.backbones.torch_backbone import TorchBackbone
from embedcache.errors import InputRejectedError, OutOfMemoryError
from embedcache.inputs.golden import texture
from embedcache.inputs.images import decoder_version
from embedcache.records.backbone import BackboneSpec

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IDENTITY_8 = replace(
    IDENTITY,
    mean=",".join(map(str, MEAN)),
    std=",".join(map(str, STD)),
    resize_to="8x8",
    image_size="8x8",
)


class Flat(nn.Module):
    """Gives its normalised input as features, and remembers the batches it saw."""

    def __init__(self, limit: int | None = None) -> None:
        super().__init__()
        self.limit = limit
        self.batches: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.batches.append(len(x))
        if self.limit is not None and len(x) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory (as if)")
        return x.flatten(1)


def backbone(module: nn.Module, batch_size: int = 4, **identity: Any) -> TorchBackbone:
    """A backbone around a module, on the CPU."""
    spec = BackboneSpec("fake/flat", replace(IDENTITY_8, **identity), 192, 0, "")
    return TorchBackbone(
        module,
        spec,
        device=torch.device("cpu"),
        batch_size=batch_size,
        engine="eager",
        library="fake 1",
        weight_files=(),
    )


def images(count: int) -> np.ndarray:
    """(count, 8, 8, 3) prepared images, all different."""
    return np.stack([np.roll(texture(8, 8), i, axis=0) + np.uint8(i) for i in range(count)])


@pytest.mark.parametrize("convolutions", [0, 8])
def test_normalisation_is_bit_equal(convolutions: int) -> None:
    """Every pixel value is normalised as by torchvision's ToTensor and Normalize."""
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    theirs = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    module = nn.Sequential(*[nn.Conv2d(1, 1, 1) for _ in range(convolutions)])
    ours = backbone(module, image_size="16x16", resize_to="16x16")
    result = ours.normalise(torch.from_numpy(pixels[None]))[0]
    assert torch.equal(result, theirs(Image.fromarray(pixels)))
    layout = torch.channels_last if convolutions else torch.contiguous_format
    assert result[None].is_contiguous(memory_format=layout)


def test_partial_batches_are_padded() -> None:
    """The model always sees the full batch size; only the rows that were given come back."""
    flat = Flat()
    ours = backbone(flat, batch_size=4)
    features = ours.submit(images(3)).result()
    assert features.shape == (3, 192)
    assert flat.batches == [4]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 12))
def test_rows_keep_their_order(batch_size: int, count: int) -> None:
    """Row i is image i, however many come at once."""
    ours, alone = backbone(Flat(), batch_size), backbone(Flat(), 1)
    batch = images(count)
    expected = np.concatenate([alone.submit(row[None]).result() for row in batch])
    assert np.array_equal(ours.submit(batch).result(), expected)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 8])
def test_out_of_memory_halves_the_batch(limit: int) -> None:
    """When memory runs out, the same rows are run again in smaller batches."""
    flat = Flat(limit)
    ours = backbone(flat, batch_size=8)
    expected = backbone(Flat(), batch_size=8).submit(images(7)).result()
    assert np.array_equal(ours.submit(images(7)).result(), expected)
    assert ours.numerics.batch_size == {1: 1, 2: 2, 3: 2, 5: 4, 8: 8}[limit]
    assert all(size <= 8 for size in flat.batches)
    assert flat.batches[-1] == ours.numerics.batch_size


def test_smaller_batches_stay() -> None:
    """Once halved, the batch size stays, so that no later batch fails."""
    flat = Flat(limit=2)
    ours = backbone(flat, batch_size=8)
    ours.submit(images(8)).result()
    tried = len(flat.batches)
    ours.submit(images(8)).result()
    assert flat.batches[tried:] == [2, 2, 2, 2]


def test_out_of_memory_at_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that runs out only when the result is awaited is dealt with alike."""
    from embedcache.backbones import torch_backbone

    expected = backbone(Flat(), batch_size=8).submit(images(8)).result()
    real, failures = torch_backbone._collect, [True, True]

    def collect(part: Any) -> Any:
        if failures and len(part[0]) > 2:
            failures.pop()
            raise torch.OutOfMemoryError("CUDA out of memory (as if)")
        return real(part)

    monkeypatch.setattr(torch_backbone, "_collect", collect)
    ours = backbone(Flat(), batch_size=8)
    first, second = ours.submit(images(8)), ours.submit(images(8)[::-1])
    assert np.array_equal(first.result(), expected)
    assert np.array_equal(second.result(), expected[::-1])
    assert ours.numerics.batch_size == 2


def test_two_batches_in_flight_halve_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two batches that ran at the same size and both failed halve it once, not twice."""
    from embedcache.backbones import torch_backbone

    real = torch_backbone._collect

    def collect(part: Any) -> Any:
        if len(part[0]) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory (as if)")
        return real(part)

    ours = backbone(Flat(), batch_size=8)
    first, second = ours.submit(images(8)), ours.submit(images(8))
    monkeypatch.setattr(torch_backbone, "_collect", collect)
    assert np.array_equal(first.result(), second.result())
    assert ours.numerics.batch_size == 4


def test_one_image_too_many() -> None:
    """Where even one image does not fit, the error says what to do."""
    with pytest.raises(OutOfMemoryError, match="batch of one") as caught:
        backbone(Flat(limit=0), batch_size=8).submit(images(3))
    assert "--image-size" in (caught.value.hint or "")


def test_float32_means_float32() -> None:
    """TF32 is off while the model runs, and as it was afterwards."""
    seen = []

    class Spy(Flat):
        def forward(self, x: Tensor) -> Tensor:
            seen.append((torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()))
            return super().forward(x)

    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    backbone(Spy()).submit(images(1)).result()
    assert seen == [(False, "highest")]
    assert (torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()) == before


def test_no_gradients_and_evaluation() -> None:
    """The model runs without gradients, dropout or moving statistics."""

    class Training(Flat):
        def forward(self, x: Tensor) -> Tensor:
            assert torch.is_inference_mode_enabled()
            assert not self.training
            return super().forward(x)

    ours = backbone(nn.Sequential(nn.Dropout(0.9), Training()).train())
    first, second = ours.submit(images(2)).result(), ours.submit(images(2)).result()
    assert np.array_equal(first, second)


def test_prepare() -> None:
    """Bytes become the model's input, or are refused."""
    import io

    buffer = io.BytesIO()
    Image.fromarray(texture(30, 20)).save(buffer, "PNG")
    prepared = backbone(Flat()).prepare(buffer.getvalue())
    assert (prepared.shape, prepared.dtype) == ((8, 8, 3), np.uint8)
    with pytest.raises(InputRejectedError):
        backbone(Flat()).prepare(b"no image")


def test_numerics() -> None:
    """The numerics say how rows are computed."""
    numerics = backbone(nn.Sequential(*[nn.Conv2d(3, 3, 1) for _ in range(9)])).numerics
    assert numerics.device == "cpu"
    assert numerics.engine == "eager"
    assert numerics.memory_format == "channels_last"
    assert numerics.batch_size == 4
    assert numerics.torch == torch.__version__
    assert numerics.library == "fake 1"
    assert numerics.codec == decoder_version()
    assert backbone(Flat()).numerics.memory_format == "contiguous"
