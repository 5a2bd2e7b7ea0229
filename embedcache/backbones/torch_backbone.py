"""`TorchBackbone`: a torch model at work on a device, as extraction and prediction see it.

B is the number of images in a batch, H × W the input size in pixels, D the
embedding dimension.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from embedcache.backbones.weight_file import WeightFile
from embedcache.errors import OutOfMemoryError
from embedcache.inputs.images import decode_rgb, decoder_version
from embedcache.inputs.preprocess import Preprocessing
from embedcache.inputs.views import View
from embedcache.records.backbone import BackboneSpec
from embedcache.records.identity import Numerics

__all__ = ["TorchBackbone", "exact_float32", "layout_of"]

_MANY_CONVOLUTIONS = 8
"""From here on a model counts as a convolutional net; a ViT has one, for its patches."""

Part = tuple[Tensor, "torch.cuda.Event | None", int]
"""Features on their way to the host, the event that says they arrived, and how many rows."""


class TorchBackbone:
    """A frozen torch model, ready to embed. Satisfies `Backbone`.

    Args:
        module: (B, 3, H, W) float32, normalised, to (B, D).
        spec: What it is.
        device: Where it runs.
        batch_size: Rows per forward pass.
        engine: `eager`, `folded` or `compiled`, for the record.
        library: The architecture's library and its version.
        weight_files: Files that the weights came from, as they were.
    """

    def __init__(
        self,
        module: nn.Module,
        spec: BackboneSpec,
        *,
        device: torch.device,
        batch_size: int,
        engine: str,
        library: str,
        weight_files: tuple[WeightFile, ...],
    ) -> None:
        self._spec = spec
        self._device = device
        self._batch_size = batch_size
        self._engine = engine
        self._library = library
        self.weight_files = weight_files
        self._preprocessing = Preprocessing.from_identity(spec.identity)
        self._view = View.from_identity(spec.identity)
        layout = layout_of(module)
        self._channels_last = layout == torch.channels_last
        module = module.eval().requires_grad_(False).to(device).to(memory_format=layout)
        self._module = torch.compile(module) if engine == "compiled" else module
        # A divisor on the device: by a plain number, CUDA multiplies with the reciprocal.
        self._scale = torch.full((1,), 255.0, device=device)
        self._mean = torch.tensor(self._preprocessing.mean, device=device).reshape(3, 1, 1)
        self._std = torch.tensor(self._preprocessing.std, device=device).reshape(3, 1, 1)

    @property
    def spec(self) -> BackboneSpec:
        """What it is."""
        return self._spec

    @property
    def numerics(self) -> Numerics:
        """How it computes at present; its batch size may fall when memory runs out."""
        is_cuda = self._device.type == "cuda"
        return Numerics(
            device=torch.cuda.get_device_name(self._device) if is_cuda else self._device.type,
            engine=self._engine,
            memory_format="channels_last" if self._channels_last else "contiguous",
            batch_size=self._batch_size,
            torch=torch.__version__,
            library=self._library,
            codec=decoder_version(),
        )

    def prepare(self, data: bytes) -> NDArray[np.uint8]:
        """One encoded image as the model's input before normalisation, (H, W, 3) uint8.

        Raises:
            InputRejectedError: The bytes are not an image that can be decoded and resized.
        """
        pixels = self._preprocessing.apply(decode_rgb(data))
        return pixels if self._view is None else self._view.apply(pixels, data)

    def submit(self, batch: NDArray[np.uint8]) -> _Pending:
        """Start embedding a batch, (B, H, W, 3) uint8; on CUDA it only queues the work.

        Raises:
            OutOfMemoryError: Even a batch of one does not fit.
        """
        return _Pending(self, batch)

    def start(self, batch: NDArray[np.uint8]) -> tuple[list[Part], int]:
        """Queue a batch in parts of at most the batch size, each padded to it.

        Returns:
            The parts, and the batch size that they were run with.
        """
        while True:
            size = self._batch_size
            try:
                return [self._forward(part, size) for part in _split(batch, size)], size
            except torch.OutOfMemoryError:
                pass  # leaving the handler frees the tensors that its traceback holds
            self.shrink(size)

    def shrink(self, tried: int) -> None:
        """Halve the batch size, unless another batch in flight already did.

        Raises:
            OutOfMemoryError: It is one already.
        """
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        if self._batch_size < tried:
            return
        if tried == 1:
            raise OutOfMemoryError(
                "the device cannot hold even a batch of one",
                where=self._spec.name,
                got=self.numerics.device,
                hint="choose a smaller backbone, a smaller --image-size, or --device cpu",
            )
        self._batch_size = tried // 2

    @torch.inference_mode()
    def _forward(self, rows: NDArray[np.uint8], size: int) -> Part:
        padded = np.zeros((size, *rows.shape[1:]), np.uint8)
        padded[: len(rows)] = rows
        pixels = torch.from_numpy(padded)
        if self._device.type == "cuda":
            pixels = pixels.pin_memory()
        with exact_float32(), self._autocast():
            normalised = self.normalise(pixels.to(self._device, non_blocking=True))
            features = self._module(normalised).float()
        if self._device.type != "cuda":
            return features.cpu(), None, len(rows)
        on_host = features.to("cpu", non_blocking=True)
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        event.record(torch.cuda.current_stream(self._device))
        return on_host, event, len(rows)

    def normalise(self, pixels: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 to (B, 3, H, W) float32, bit-equal to ToTensor and Normalize."""
        planes = pixels.permute(0, 3, 1, 2)  # in memory still channels last
        if not self._channels_last:
            planes = planes.contiguous()
        return planes.float().div_(self._scale).sub_(self._mean).div_(self._std)

    def _autocast(self) -> contextlib.AbstractContextManager[object]:
        precision = self._spec.identity.precision
        if precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self._device.type, getattr(torch, precision))


class _Pending:
    """A batch on its way; holds its rows until the result is there, to run them again."""

    def __init__(self, backbone: TorchBackbone, batch: NDArray[np.uint8]) -> None:
        self._backbone = backbone
        self._batch = batch
        self._parts, self._size = backbone.start(batch)

    def result(self) -> NDArray[np.float32]:
        """Wait for the features, (B, D) float32.

        Raises:
            OutOfMemoryError: Even a batch of one does not fit.
        """
        while True:
            try:
                return np.concatenate([_collect(part) for part in self._parts])
            except torch.OutOfMemoryError:
                pass  # as in `start`
            self._backbone.shrink(self._size)
            self._parts, self._size = self._backbone.start(self._batch)


def layout_of(module: nn.Module) -> torch.memory_format:
    """How a model's tensors lie in memory: channels last if it is a convolutional net."""
    convolutions = sum(isinstance(part, nn.Conv2d) for part in module.modules())
    return torch.channels_last if convolutions >= _MANY_CONVOLUTIONS else torch.contiguous_format


@contextlib.contextmanager
def exact_float32() -> Iterator[None]:
    """Have float32 mean float32: TF32 on CUDA, PyTorch's default there, keeps 10 bits of 23."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def _collect(part: Part) -> NDArray[np.float32]:
    features, event, rows = part
    if event is not None:
        event.synchronize()
    array: NDArray[np.float32] = features[:rows].numpy()
    return array


def _split(batch: NDArray[np.uint8], size: int) -> Iterator[NDArray[np.uint8]]:
    return (batch[start : start + size] for start in range(0, len(batch), size))
