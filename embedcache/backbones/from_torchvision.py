"""Build backbones of torchvision: `torchvision/MODEL[:WEIGHTS]`."""

from __future__ import annotations

import importlib.metadata
import re
from typing import Any

import torch
from torch import nn

from embedcache.backbones.architecture import Architecture, Sketch
from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.names import BackboneName, unknown_model, unknown_weights
from embedcache.backbones.published import find_url_file, torch_hub_dir, url_file
from embedcache.backbones.transforms import read_transform, scale_to
from embedcache.backbones.weights import load_tower, read_weights, weights_digest
from embedcache.errors import BackboneError

__all__ = ["bare_model", "build", "is_local", "known_names", "sketch", "torchvision_weights"]

_AUXILIARY = ("aux1", "aux2", "AuxLogits")
"""Classifiers half-way, for training only: https://arxiv.org/abs/1409.4842, section 5."""

# What a builder sets by itself when it is given published weights, and must be set when the
# weights come by another way. The first two normalise once more, inside the model.
_PRETRAINED_ARGUMENTS: dict[str, dict[str, Any]] = {
    "googlenet": {"transform_input": True, "aux_logits": True, "init_weights": False},
    "inception_v3": {"transform_input": True, "aux_logits": True, "init_weights": False},
}

# DenseNet's published files are older than the rule that names have no dots.
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")


def known_names() -> list[str]:
    """All image classifiers of torchvision, one name per weights."""
    from torchvision import models

    return [
        f"torchvision/{model}:{weights.name}"
        for model in models.list_models(module=models)
        for weights in models.get_model_weights(model)
        if weights.meta.get("categories")  # VGG-16 has weights of its convolutions alone
    ]


def is_local(name: BackboneName) -> bool:
    """Whether the published weights are on this machine."""
    return find_url_file(torchvision_weights(name).url, torch_hub_dir()) is not None


def build(name: BackboneName, request: BackboneRequest) -> Architecture:
    """The model, its weights and its preprocessing.

    Raises:
        BackboneError: No such model or weights, or an option that it does not have.
        WeightsUnavailableError: The weights are not here and cannot be fetched.
        CacheInvalidError: The weight file is damaged.
    """
    if request.pooling is not None:
        raise BackboneError(
            "models of torchvision have one pooling, their own",
            got=f"--pooling {request.pooling}",
            hint="timm has many of these models, with a choice: embedcache backbones",
        )
    published = torchvision_weights(name)
    state, file = read_weights(request.weights or url_file(published.url, torch_hub_dir()))
    module, classifier = bare_model(name.model, published)
    state = {_OLD_DENSENET.sub(r"\1\2", key): value for key, value in state.items()}
    load_tower(module, state, where=file.path, classifier=(classifier, *_AUXILIARY))
    preprocessing = read_transform(published.transforms())
    if request.image_size is not None:
        preprocessing = scale_to(preprocessing, request.image_size)
    return Architecture(
        name=f"torchvision/{name.model}:{published.name}",
        source="torchvision",
        architecture=name.model,
        module=module,
        weights=weights_digest(module),
        preprocessing=preprocessing,
        layer="pre-logits",
        pooling="default",
        weight_files=(file,),
        license=published.meta.get("license", ""),
        library=f"torchvision {importlib.metadata.version('torchvision')}",
    )


def sketch(name: BackboneName) -> Sketch:
    """The model without its weights.

    Raises:
        BackboneError: No such model or weights, or preprocessing that is not reproduced.
    """
    published = torchvision_weights(name)
    # RegNet's constructor computes its widths with tensors, which needs a real device.
    with torch.device("cpu" if name.model.startswith("regnet") else "meta"):
        module, _ = bare_model(name.model, published)
    license_name = published.meta.get("license", "")
    return Sketch(module.to("meta"), read_transform(published.transforms()), license_name)


def torchvision_weights(name: BackboneName) -> Any:
    """The entry of torchvision's weights enumeration that a name means.

    Raises:
        BackboneError: No such model or weights.
    """
    from torchvision import models

    if name.model not in models.list_models(module=models):
        raise unknown_model(name, known_names())
    entries = models.get_model_weights(name.model)
    entry = entries.__members__.get(name.tag or "DEFAULT")
    if entry is None or not entry.meta.get("categories"):
        known = (item for item in known_names() if item.startswith(f"torchvision/{name.model}:"))
        raise unknown_weights(name, known)
    return entry


def bare_model(model: str, published: Any) -> tuple[nn.Module, str]:
    """A model for published weights, without them, and its classifier made an identity.

    Returns:
        The model, and the dotted name of what was its classifier.
    """
    from torchvision import models

    arguments = dict(_PRETRAINED_ARGUMENTS.get(model, {}))
    side = published.meta["min_size"][0]
    if model.startswith("vit_"):
        arguments["image_size"] = side
    elif model.startswith("maxvit_"):
        arguments["input_size"] = (side, side)
    module: nn.Module = models.get_model(model, weights=None, **arguments)
    classifier = _classifier(module, len(published.meta["categories"]))
    parent, _, attribute = classifier.rpartition(".")
    setattr(module.get_submodule(parent), attribute, nn.Identity())
    for auxiliary in _AUXILIARY:
        if hasattr(module, auxiliary):
            setattr(module, auxiliary, None)
    return module, classifier


def _classifier(module: nn.Module, classes: int) -> str:
    """Name of the last layer, where that gives one output per class."""
    layers = [
        (name, part)
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear | nn.Conv2d)
    ]
    name: str
    name, layer = layers[-1]
    outputs = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
    if outputs != classes:
        raise BackboneError(
            "this architecture does not end in a classifier",
            where=type(module).__name__,
            got=f"{outputs} outputs of {name}",
            expected=classes,
        )
    return name
