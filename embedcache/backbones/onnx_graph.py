"""A backbone and a head as one ONNX graph, from pixels to probabilities.

B is the number of images, H and W the input's height and width, D the embedding
dimension, K the number of classes, or of labels.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from embedcache.errors import BackboneError, MissingExtraError
from embedcache.inputs.preprocess import Preprocessing

__all__ = ["INPUT", "OUTPUTS", "check_onnx_is_here", "onnx_bytes", "run_onnx"]

INPUT = "pixels"
"""(B, H, W, 3) uint8: upright RGB, resized and cropped, not normalised."""

OUTPUTS = ("probabilities", "features")
"""(B, K) and (B, D) float32."""

_LARGEST = 2**31 - 1
"""Bytes of a protobuf message, and so of a model in one file: https://protobuf.dev/overview."""

_EXAMPLES = 2  # a batch of one would be taken for a constant


def check_onnx_is_here() -> None:
    """Refuse early where the libraries are missing.

    Raises:
        MissingExtraError: One of them is not installed.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(f"the export to ONNX needs {package}", extra="onnx")


class _Whole(nn.Module):
    """Pixels to probabilities, with every step that lies between them in `predict`."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        tower: nn.Module,
        preprocessing: Preprocessing,
        stored_dtype: str,
        head: nn.Module,
        *,
        several: bool,
    ) -> None:
        super().__init__()
        self.tower, self.head, self.several = tower, head, several
        self.register_buffer("mean", torch.tensor(preprocessing.mean).reshape(3, 1, 1))
        self.register_buffer("std", torch.tensor(preprocessing.std).reshape(3, 1, 1))
        self.stored_dtype = getattr(torch, stored_dtype)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        planes = pixels.permute(0, 3, 1, 2).float() / 255
        features = self.tower((planes - self.mean) / self.std)
        features = features.to(self.stored_dtype).float()  # rounded as in the cache
        logits = self.head(features)
        shares = torch.sigmoid(logits) if self.several else torch.softmax(logits, dim=1)
        return shares, features


def onnx_bytes(
    tower: nn.Module,
    preprocessing: Preprocessing,
    stored_dtype: str,
    head: nn.Module,
    metadata: Mapping[str, str],
    *,
    several: bool = False,
) -> bytes:
    """The model, as the bytes of an `.onnx` file; any number of images at a time.

    Args:
        tower: (B, 3, H, W) normalised float32 to (B, D).
        preprocessing: Its normalisation goes into the graph.
        stored_dtype: What features are rounded to, `float16` or `float32`.
        head: (B, D) to logits (B, K).
        metadata: Goes into `metadata_props`.
        several: Whether logits are of labels, each with a probability of its own.

    Raises:
        BackboneError: PyTorch cannot export this model, or it is larger than a file may be.
    """
    import onnx

    whole = (
        _Whole(tower, preprocessing, stored_dtype, head, several=several)
        .eval()
        .requires_grad_(False)
    )
    example = torch.zeros(_EXAMPLES, *preprocessing.image_size, 3, dtype=torch.uint8)
    size = sum(tensor.nbytes for tensor in whole.state_dict().values())
    if size > _LARGEST:
        raise BackboneError(
            "this model is too large for one ONNX file",
            got=f"{size} bytes of parameters",
            expected=f"at most {_LARGEST}",
        )
    try:
        program: Any = torch.onnx.export(
            whole,
            (example,),
            dynamo=True,
            verbose=False,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
    except torch.onnx.errors.OnnxExporterError as error:
        raise BackboneError(
            "PyTorch cannot export this backbone to ONNX",
            got=str(error).strip().partition("\n")[0][:200],
            hint="choose another backbone, or use `embedcache predict`",
        ) from error
    model = program.model_proto
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def run_onnx(data: bytes, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities, (B, K), of prepared images, (B, H, W, 3), by onnxruntime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    probabilities: NDArray[np.float32] = session.run([OUTPUTS[0]], {INPUT: pixels})[0]
    return probabilities
