"""`load_backbone`: from what a person asked for to a model at work on a device.

B is the batch size, H and W the input's height and width, D the embedding dimension.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from embedcache.backbones.activations import read_at
from embedcache.backbones.architecture import Architecture
from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.folding import fold
from embedcache.backbones.names import parse_name, resolve
from embedcache.backbones.torch_backbone import TorchBackbone
from embedcache.errors import BackboneError
from embedcache.inputs.golden import texture
from embedcache.inputs.images import DECODE_CONTRACT
from embedcache.inputs.preprocess import Preprocessing
from embedcache.records.backbone import READING_MARK, BackboneSpec
from embedcache.records.identity import NO_VIEW, Identity

__all__ = [
    "DEVICES",
    "PRECISIONS",
    "STORED_DTYPES",
    "build_architecture",
    "find_device",
    "load_backbone",
]

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("float32", "bfloat16", "float16")
STORED_DTYPES = ("float16", "float32")

_BATCH_SIZES = {"cuda": 256}
_BATCH_SIZE = 16
"""Elsewhere. On CPUs larger ones leave the caches (seen with EfficientNet-Lite0, images/s per
core: 53 at 8, 47 at 16, 36 at 32, 33 at 64)."""

_REFUSALS = (RuntimeError, AssertionError, ValueError, TypeError, IndexError)
"""What models raise on an input size that they cannot take."""


def load_backbone(
    request: BackboneRequest,
    *,
    device: str = "auto",
    batch_size: int | None = None,
    compile: bool = False,  # noqa: A002  # the name that PyTorch gives it
) -> TorchBackbone:
    """Build a model, load its weights and put it on a device.

    Args:
        request: Which model, and how.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        batch_size: Rows per forward pass; `None` for the device's default.
        compile: Use `torch.compile`: minutes at first, then faster on CUDA.

    Raises:
        BackboneError: An unknown name, an option that the model does not have, a device
            that is not there, or weights that do not fit.
        WeightsUnavailableError: The weights are not here and cannot be fetched.
        MissingExtraError: The weights come in a package that is not installed.
        CacheInvalidError: The weight file is damaged.
    """
    place = find_device(device)
    architecture = build_architecture(request)
    if request.layer is not None:
        architecture = read_at(architecture, request.layer)
    example = _example(architecture.preprocessing)
    dim = _probe(architecture, example)
    spec = _spec(architecture, request, dim)
    module, engine = architecture.module, "eager"
    if compile:
        engine = "compiled"
    elif (folded := fold(module, example)) is not None:
        module, engine = folded, "folded"
    return TorchBackbone(
        module,
        spec,
        device=place,
        batch_size=batch_size or _BATCH_SIZES.get(place.type, _BATCH_SIZE),
        engine=engine,
        library=architecture.library,
        weight_files=architecture.weight_files,
    )


def build_architecture(request: BackboneRequest) -> Architecture:
    """The model with its weights on the CPU, not yet folded or compiled.

    Raises:
        BackboneError: As for `load_backbone`, and likewise the other errors.
    """
    for flag, value, choices in (
        ("--precision", request.precision, PRECISIONS),
        ("--store-dtype", request.stored_dtype, STORED_DTYPES),
    ):
        if value not in choices:
            raise BackboneError(
                f"unknown {flag[2:]}", got=f"{flag} {value}", expected=", ".join(choices)
            )
    if request.image_size is not None and request.image_size < 1:
        raise BackboneError("an image has pixels", got=f"--image-size {request.image_size}")
    name = parse_name(request.name)
    architecture: Architecture = resolve(name.source, "build")(name, request)
    architecture.module.eval()
    return architecture


def find_device(name: str) -> torch.device:
    """The device that `--device` means.

    Raises:
        BackboneError: It is unknown or not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, index = name.partition(":")
    available = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    if kind not in available or not (index == "" or index.isdecimal()):
        raise BackboneError("unknown device", got=f"--device {name}", expected=", ".join(DEVICES))
    if int(index or 0) >= available[kind]:
        raise BackboneError(
            "this device is not there",
            got=f"--device {name}",
            expected=", ".join(kind for kind, count in available.items() if count),
            hint="use --device auto",
        )
    return torch.device(name)


def _example(preprocessing: Preprocessing) -> Tensor:
    """The golden texture, normalised, (1, 3, H, W) float32."""
    planes = torch.from_numpy(texture(*preprocessing.image_size)).permute(2, 0, 1).float() / 255
    mean, std = (
        torch.tensor(values).reshape(3, 1, 1) for values in (preprocessing.mean, preprocessing.std)
    )
    return ((planes - mean) / std).unsqueeze(0)


def _probe(architecture: Architecture, example: Tensor) -> int:
    """D, from one forward pass, which also shows whether the model takes this input size."""
    try:
        with torch.no_grad():
            features: Any = architecture.module(example)
    except _REFUSALS as error:
        height, width = architecture.preprocessing.image_size
        words = str(error).strip().splitlines() or [type(error).__name__]
        raise BackboneError(
            "this architecture cannot take images of this size",
            where=architecture.name,
            got=f"{height} x {width} pixels: {words[0]}",
            hint="leave --image-size away for the model's own",
        ) from error
    if not isinstance(features, Tensor) or features.ndim != 2:
        raise BackboneError(
            "this architecture does not give one vector per image",
            where=architecture.name,
            got=getattr(features, "shape", type(features).__name__),
            expected="(1, D)",
        )
    return int(features.shape[1])


def _spec(architecture: Architecture, request: BackboneRequest, dim: int) -> BackboneSpec:
    identity = Identity(
        source=architecture.source,
        architecture=architecture.architecture,
        weights=architecture.weights,
        decode=DECODE_CONTRACT,
        layer=architecture.layer,
        pooling=architecture.pooling,
        normalisation="none",
        precision=request.precision,
        stored_dtype=request.stored_dtype,
        view=request.view or NO_VIEW,
        **architecture.preprocessing.to_strings(),  # type: ignore[arg-type]  # no version in it
    )
    # A local file is named too, lest its features be taken for the published weights'.
    name = architecture.name + (f"@{request.weights.name}" if request.weights else "")
    name += "".join(f"{READING_MARK}{part}" for part in (request.layer, request.view) if part)
    parameters = sum(parameter.numel() for parameter in architecture.module.parameters())
    return BackboneSpec(name, identity, dim, parameters, architecture.license)
