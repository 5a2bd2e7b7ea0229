"""Tests of `embedcache.backbones.torch_backbone`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_models import SmallModel, sample_images
from torch import Tensor, nn

from embedcache.backbones.load import load_backbone
from embedcache.backbones.torch_backbone import TorchBackbone
from embedcache.errors import InputRejectedError, OutOfMemoryError

IMAGES = sample_images()


def pixels_of(backbone: TorchBackbone, count: int = 6) -> NDArray[np.uint8]:
    """Prepared images, (count, H, W, 3)."""
    return np.stack([backbone.prepare(data) for data in IMAGES[:count]])


class Crowded(nn.Module):
    """A model on a device that holds only so many rows at once."""

    def __init__(self, module: nn.Module, most: int) -> None:
        super().__init__()
        self.module = module
        self.most = most
        self.tried: list[int] = []

    def forward(self, batch: Tensor) -> Any:
        self.tried.append(len(batch))
        if len(batch) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.module(batch)


def crowd(backbone: TorchBackbone, most: int) -> Crowded:
    """Let a backbone run out of memory above a batch size."""
    crowded = Crowded(backbone._module, most)
    backbone._module = crowded
    return crowded


def test_normalised_pixels_are_the_librarys(convnet: SmallModel, transformer: SmallModel) -> None:
    """What the model sees is bit-equal to the library's transform, mean and deviation included."""
    for small in (convnet, transformer):
        backbone = load_backbone(small.request, device="cpu")
        theirs = replace(small, embed=lambda batch: batch).loop(IMAGES)
        ours = backbone.normalise(torch.from_numpy(pixels_of(backbone)))
        np.testing.assert_array_equal(ours.contiguous().numpy(), theirs)


def test_neighbours_do_not_matter_at_all(convnet: SmallModel, transformer: SmallModel) -> None:
    """At one batch size a row has the same bits alone, among others, and in a short batch."""
    for small in (convnet, transformer):
        backbone = load_backbone(small.request, device="cpu", batch_size=4)
        batch = pixels_of(backbone, 4)
        together = backbone.submit(batch).result()
        assert np.abs(together - together[0]).max() > 0.01
        for count in (1, 3):
            np.testing.assert_array_equal(backbone.submit(batch[:count]).result(), together[:count])
        others = batch.copy()
        others[1:] = 255
        np.testing.assert_array_equal(backbone.submit(others).result()[0], together[0])


def test_batches_in_flight_do_not_mix(convnet: SmallModel) -> None:
    """Two batches submitted before either is asked for keep their own rows."""
    backbone = load_backbone(convnet.request, device="cpu", batch_size=4)
    batch = pixels_of(backbone)
    first, second = backbone.submit(batch[:4]), backbone.submit(batch[4:])
    expected = backbone.submit(batch).result()
    np.testing.assert_array_equal(second.result(), expected[4:])
    np.testing.assert_array_equal(first.result(), expected[:4])


def test_the_callers_pixels_stay_as_they_are(convnet: SmallModel) -> None:
    """Normalising in place does not write into the batch that was handed in."""
    backbone = load_backbone(convnet.request, device="cpu", batch_size=2)
    batch = pixels_of(backbone, 2)
    before = batch.copy()
    backbone.submit(batch).result()
    np.testing.assert_array_equal(batch, before)


def test_only_full_batches_pass_the_model(convnet: SmallModel) -> None:
    """Every forward pass has the same shape, so that no row depends on how many came."""
    backbone = load_backbone(convnet.request, device="cpu", batch_size=4)
    crowded = crowd(backbone, 99)
    assert backbone.submit(pixels_of(backbone, 5)).result().shape == (5, 96)
    assert crowded.tried == [4, 4]


@pytest.mark.parametrize(("most", "size"), [(4, 4), (3, 2), (1, 1)])
def test_out_of_memory_halves_the_batch(convnet: SmallModel, most: int, size: int) -> None:
    """The same rows come out, in smaller batches, and the numerics say so."""
    plenty = load_backbone(convnet.request, device="cpu", batch_size=8)
    expected = plenty.submit(pixels_of(plenty)).result()
    backbone = load_backbone(convnet.request, device="cpu", batch_size=8)
    crowded = crowd(backbone, most)
    features = backbone.submit(pixels_of(backbone)).result()
    assert np.abs(features - expected).max() <= 1e-5 * np.abs(expected).max()
    assert backbone.numerics.batch_size == size
    halvings = [8 >> step for step in range(4 - size.bit_length())]
    assert crowded.tried == halvings + [size] * -(-6 // size)
    assert backbone.spec == plenty.spec


def test_the_smaller_batch_is_kept(convnet: SmallModel) -> None:
    """After it ran out of memory once, the next batch does not try the large size again."""
    backbone = load_backbone(convnet.request, device="cpu", batch_size=8)
    crowded = crowd(backbone, 4)
    backbone.submit(pixels_of(backbone)).result()
    crowded.tried.clear()
    backbone.submit(pixels_of(backbone)).result()
    assert crowded.tried == [4, 4]


def test_an_odd_batch_size_reaches_one(convnet: SmallModel) -> None:
    """Halving 7 gives 3 and 1, not 0."""
    backbone = load_backbone(convnet.request, device="cpu", batch_size=7)
    crowded = crowd(backbone, 1)
    assert backbone.submit(pixels_of(backbone, 2)).result().shape == (2, 96)
    assert crowded.tried == [7, 3, 1, 1]


def test_a_batch_of_one_that_does_not_fit_is_an_error(convnet: SmallModel) -> None:
    """There is nothing left to halve: the error names the backbone and what to do."""
    backbone = load_backbone(convnet.request, device="cpu", batch_size=2)
    crowded = crowd(backbone, 0)
    with pytest.raises(OutOfMemoryError, match="batch of one") as caught:
        backbone.submit(pixels_of(backbone, 2)).result()
    assert crowded.tried == [2, 1]
    assert caught.value.where == backbone.spec.name
    assert "--image-size" in (caught.value.hint or "")


def test_memory_that_runs_out_later_shrinks_once(
    convnet: SmallModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU the failure may only show when results are fetched: two batches, one halving."""
    from embedcache.backbones import torch_backbone

    backbone = load_backbone(convnet.request, device="cpu", batch_size=4)
    batch = pixels_of(backbone, 4)
    expected = backbone.submit(batch).result()
    first, second = backbone.submit(batch), backbone.submit(batch)
    collect = torch_backbone._collect

    def fail_if_large(part: Any) -> NDArray[np.float32]:
        if len(part[0]) == 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return collect(part)

    monkeypatch.setattr(torch_backbone, "_collect", fail_if_large)
    for pending in (first, second):
        features = pending.result()
        assert np.abs(features - expected).max() <= 1e-5 * np.abs(expected).max()
    assert backbone.numerics.batch_size == 2


def test_other_errors_are_not_taken_for_memory(convnet: SmallModel) -> None:
    """A bug in a model surfaces; it does not shrink the batch."""
    backbone = load_backbone(convnet.request, device="cpu", batch_size=4)
    with pytest.raises(RuntimeError, match="size of tensor"):
        backbone.submit(np.zeros((2, 160, 160, 4), np.uint8)).result()
    assert backbone.numerics.batch_size == 4


def test_bad_bytes_are_rejected_before_the_model(convnet: SmallModel) -> None:
    """`prepare` refuses what is no image, and gives (H, W, 3) uint8 for what is one."""
    backbone = load_backbone(convnet.request, device="cpu")
    with pytest.raises(InputRejectedError):
        backbone.prepare(b"not an image")
    pixels = backbone.prepare(IMAGES[0])
    assert (pixels.shape, pixels.dtype) == ((160, 160, 3), np.uint8)


def test_features_carry_no_gradient_and_no_training(convnet: SmallModel) -> None:
    """The model is frozen: evaluation mode, no parameter asks for a gradient."""
    backbone = load_backbone(convnet.request, device="cpu")
    module: Any = backbone._module
    assert not any(part.training for part in module.modules())
    assert not any(parameter.requires_grad for parameter in module.parameters())


def test_numerics_say_how(convnet: SmallModel, transformer: SmallModel) -> None:
    """Convolutional nets run folded and channels last, transformers neither."""
    folded = load_backbone(convnet.request, device="cpu", batch_size=3).numerics
    eager = load_backbone(transformer.request, device="cpu", batch_size=3).numerics
    assert (folded.engine, folded.memory_format) == ("folded", "channels_last")
    assert (eager.engine, eager.memory_format) == ("eager", "contiguous")
    assert folded.device == eager.device == "cpu"
    assert folded.batch_size == 3
    assert folded.torch == torch.__version__
    assert folded.library.startswith("timm ")
    assert folded.codec.startswith("pillow ")


def test_numerics_are_not_in_the_identity(convnet: SmallModel) -> None:
    """Another batch size is another numerics record and the same cache."""
    small = load_backbone(convnet.request, device="cpu", batch_size=2)
    large = load_backbone(convnet.request, device="cpu", batch_size=9)
    assert small.numerics != large.numerics
    assert small.spec == large.spec


def test_the_stored_dtype_changes_the_identity_only(convnet: SmallModel) -> None:
    """How features are stored does not change how they are computed."""
    half = load_backbone(convnet.request, device="cpu", batch_size=6)
    full = load_backbone(
        replace(convnet.request, stored_dtype="float32"), device="cpu", batch_size=6
    )
    differences = half.spec.identity.differences(full.spec.identity)
    assert differences == ("stored_dtype: float16 → float32",)
    batch = pixels_of(half)
    np.testing.assert_array_equal(half.submit(batch).result(), full.submit(batch).result())


def test_the_process_keeps_its_settings(convnet: SmallModel) -> None:
    """Embedding leaves the caller's choice of float32 arithmetic as it was."""
    backbone = load_backbone(convnet.request, device="cpu", batch_size=2)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        backbone.submit(pixels_of(backbone, 2)).result()
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
