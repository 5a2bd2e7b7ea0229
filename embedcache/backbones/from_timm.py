"""Build backbones of timm: `timm/ARCHITECTURE[.TAG]`."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from embedcache.backbones.architecture import Architecture, Sketch
from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.names import BackboneName, unknown_model, unknown_weights
from embedcache.backbones.published import (
    find_hub_file,
    find_url_file,
    hub_file,
    torch_hub_dir,
    url_file,
)
from embedcache.backbones.timm_towers import (
    create_tower,
    pool_tower,
    resize_tower,
    sized_tower,
    tagged,
)
from embedcache.backbones.transforms import read_transform
from embedcache.backbones.weight_file import WeightFile
from embedcache.backbones.weights import read_weights, weights_digest
from embedcache.errors import WeightsUnavailableError
from embedcache.inputs.preprocess import Preprocessing

__all__ = ["assemble", "build", "is_local", "known_names", "sketch", "timm_config"]

_HUB_FILES = ("model.safetensors", "pytorch_model.bin")


def known_names() -> list[str]:
    """All models of timm that have published weights, one name per weights."""
    import timm

    return [f"timm/{name}" for name in timm.list_models(pretrained=True)]


def is_local(name: BackboneName) -> bool:
    """Whether the published weights are on this machine."""
    config = timm_config(name)
    found = config.hf_hub_id and find_hub_file(config.hf_hub_id, _hub_files(config))
    return bool(found or (config.url and find_url_file(config.url, torch_hub_dir())))


def build(name: BackboneName, request: BackboneRequest) -> Architecture:
    """The model, its weights and its preprocessing.

    Raises:
        BackboneError: No such model or weights, or an option that it does not have.
        WeightsUnavailableError: The weights are not here and cannot be fetched.
        CacheInvalidError: The weight file is damaged.
    """
    config = timm_config(name)
    path = request.weights or _published(name, config)
    state, file = read_weights(path)
    return assemble(f"timm/{tagged(config)}", config, state, file, request)


def sketch(name: BackboneName) -> Sketch:
    """The model without its weights.

    Raises:
        BackboneError: No such model or weights, or preprocessing that is not reproduced.
    """
    import timm
    import torch

    config = timm_config(name)
    with torch.device("meta"):
        module = timm.create_model(tagged(config), num_classes=0)
    return Sketch(module, _preprocessing(config, None), config.license or "")


def assemble(
    name: str,
    config: Any,
    state: Mapping[str, Tensor],
    file: WeightFile,
    request: BackboneRequest,
    *,
    license_name: str | None = None,
) -> Architecture:
    """An architecture of timm around tensors that were read from a file.

    Args:
        name: Canonical name.
        config: From `timm_config`.
        state: The tensors, under timm's names or their authors'.
        file: The file that they came from.
        request: Image size and pooling.
        license_name: Licence of the weights, if not the one that timm states.

    Raises:
        BackboneError: The tensors do not fit, or an option does not exist.
    """
    size = request.image_size
    sized = None if size is None else sized_tower(config, state, size)
    tower = sized or create_tower(config, state, file.path)
    # Before resampling, whose rounding depends on the machine.
    digest = weights_digest(tower)
    if size is not None and sized is None:
        tower = resize_tower(config, tower, size)
    pooling = pool_tower(tower, request.pooling)
    return Architecture(
        name=name,
        source="timm",
        architecture=config.architecture,
        module=tower,
        weights=digest,
        preprocessing=_preprocessing(config, request.image_size),
        layer="pre-logits",
        pooling=pooling,
        weight_files=(file,),
        license=license_name or config.license or "",
        library=f"timm {importlib.metadata.version('timm')}",
    )


def _preprocessing(config: Any, image_size: int | None) -> Preprocessing:
    """What a pretrained configuration of timm says about evaluation."""
    data: Any = importlib.import_module("timm.data")
    given = {} if image_size is None else {"input_size": (3, image_size, image_size)}
    resolved = data.resolve_data_config(given, pretrained_cfg=config.to_dict())
    return read_transform(data.create_transform(**resolved, is_training=False))


def timm_config(name: BackboneName) -> Any:
    """Timm's `PretrainedCfg` of a name, for `timm/MODEL.TAG` and `timm/MODEL:TAG` alike.

    Raises:
        BackboneError: No such model or weights.
    """
    from timm.models import get_pretrained_cfg, is_model, split_model_name_tag

    model, tag = split_model_name_tag(name.model)
    tag = name.tag or tag
    if not is_model(model):
        raise unknown_model(name, known_names())
    try:
        config: Any = get_pretrained_cfg(f"{model}.{tag}" if tag else model, False)
    except RuntimeError as error:
        asked = BackboneName("timm", model, tag)
        known = (item for item in known_names() if item.startswith(f"timm/{model}."))
        raise unknown_weights(asked, known) from error
    return replace(config, architecture=model)


def _published(name: BackboneName, config: Any) -> Path:
    if config.custom_load:
        raise WeightsUnavailableError(
            "these weights are published in a format that embedcache does not read",
            where=str(name),
            hint="give a state dict with --weights FILE",
        )
    if config.hf_hub_id:
        return hub_file(config.hf_hub_id, _hub_files(config))
    if config.url:
        return url_file(config.url, torch_hub_dir())
    raise WeightsUnavailableError(
        "nobody has published weights for this architecture",
        where=str(name),
        hint="give a file with --weights FILE",
    )


def _hub_files(config: Any) -> tuple[str, ...]:
    return (config.hf_hub_filename,) if config.hf_hub_filename else _HUB_FILES
