"""Build backbones of timm: `timm/ARCHITECTURE[.TAG]`."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from embedcache.backbones.architecture import Architecture
from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.names import BackboneName, unknown
from embedcache.backbones.published import (
    find_hub_file,
    find_url_file,
    hub_file,
    torch_hub_dir,
    url_file,
)
from embedcache.backbones.transforms import read_transform
from embedcache.backbones.weight_file import WeightFile
from embedcache.backbones.weights import load_tower, read_weights, tower_mismatch
from embedcache.errors import BackboneError, WeightsUnavailableError
from embedcache.inputs.preprocess import Preprocessing

__all__ = ["assemble", "build", "is_local", "known_names", "timm_config"]

_HUB_FILES = ("model.safetensors", "pytorch_model.bin")

_POOLINGS = {"avg": "avg", "max": "max", "avgmax": "avgmax", "cls": "token"}
"""Our names of poolings, and timm's."""

# What timm raises when an architecture does not have an option, or not with these weights.
_REFUSALS = (RuntimeError, AssertionError, ValueError, TypeError, KeyError, AttributeError)


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
    return assemble(f"timm/{_tagged(config)}", config, state, file, request)


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
    module = _create(config, state, request.image_size, file.path)
    return Architecture(
        name=name,
        source="timm",
        architecture=config.architecture,
        module=module,
        preprocessing=_preprocessing(config, request.image_size),
        layer="pre-logits",
        pooling=_pool(module, request.pooling),
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


def _create(
    config: Any, state: Mapping[str, Tensor], image_size: int | None, path: Path
) -> nn.Module:
    """The tower of a timm architecture, without classifier, filled from a state dict.

    Tensors that fit as they are, but for the classifier's, are loaded as they are. Others
    go through timm's own conversion, which knows the original authors' formats and
    resamples position embeddings to another image size; it is strict here too.
    """
    import timm

    create: Callable[..., nn.Module] = timm.create_model
    arguments = {"img_size": image_size} if image_size and config.fixed_input_size else {}
    tagged = _tagged(config)
    try:
        module = create(tagged, num_classes=0, **arguments)
    except _REFUSALS as error:
        raise BackboneError(
            "this architecture cannot take another image size",
            where=f"timm/{tagged}",
            got=f"--image-size {image_size}",
            expected=config.input_size[-1],
        ) from error
    classifier = _classifier(config)
    mismatch = tower_mismatch(module, state, classifier)
    if mismatch is None:
        load_tower(module, state, where=path, classifier=classifier)
        return module
    for classes in _class_counts(config, state):
        overlay = {"state_dict": dict(state), "num_classes": classes, "label_offset": 0}
        try:
            module = create(
                tagged,
                pretrained=True,
                num_classes=classes,
                pretrained_cfg_overlay=overlay,
                **arguments,
            )
        except _REFUSALS:
            continue
        module.reset_classifier(0)  # type: ignore[operator]  # every timm model has it
        return module
    raise BackboneError("these weights do not fit the architecture", where=path, got=mismatch)


def timm_config(name: BackboneName) -> Any:
    """Timm's `PretrainedCfg` of a name, for `timm/MODEL.TAG` and `timm/MODEL:TAG` alike.

    Raises:
        BackboneError: No such model or weights.
    """
    from timm.models import get_pretrained_cfg, is_model, split_model_name_tag

    model, tag = split_model_name_tag(name.model)
    tag = name.tag or tag
    if not is_model(model):
        raise unknown("model", name, known_names())
    try:
        config: Any = get_pretrained_cfg(f"{model}.{tag}" if tag else model, False)
    except RuntimeError as error:
        raise unknown("weights", BackboneName("timm", f"{model}.{tag}"), known_names()) from error
    return replace(config, architecture=model)


def _tagged(config: Any) -> str:
    return str(config.architecture) + (f".{config.tag}" if config.tag else "")


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


def _classifier(config: Any) -> tuple[str, ...]:
    names = config.classifier or ()
    return (names,) if isinstance(names, str) else tuple(names)


def _class_counts(config: Any, state: Mapping[str, Tensor]) -> Iterator[int]:
    """Numbers of classes that a file may have: its own, the published weights', none."""
    rows = {
        len(state[f"{part}.weight"]) for part in _classifier(config) if f"{part}.weight" in state
    }
    yield from rows
    yield from {config.num_classes, 0} - rows


def _pool(module: Any, pooling: str | None) -> str:
    """Set the pooling that was asked for.

    Returns:
        Its name for the identity: `default` where it is the model's own.
    """
    if pooling is None:
        return "default"
    if pooling not in _POOLINGS:
        raise BackboneError(
            "unknown pooling", got=f"--pooling {pooling}", expected=", ".join(_POOLINGS)
        )
    if getattr(module, "global_pool", None) == _POOLINGS[pooling]:
        return "default"
    try:
        module.reset_classifier(0, global_pool=_POOLINGS[pooling])
    except _REFUSALS as error:
        raise BackboneError(
            "this architecture does not have the pooling that was asked for",
            got=f"--pooling {pooling}",
            hint="leave --pooling away for the model's own",
        ) from error
    return pooling
