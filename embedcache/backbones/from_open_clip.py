"""Build the image towers of open_clip: `open_clip/MODEL:TAG`.

The feature is the image embedding in the space shared with text, as `encode_image`
gives it, not normalised to unit length.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from embedcache.backbones.architecture import Architecture, Sketch
from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.hush import hushed
from embedcache.backbones.names import BackboneName, unknown_model, unknown_weights
from embedcache.backbones.published import find_hub_file, find_url_file, hub_file, url_file
from embedcache.backbones.transforms import read_transform
from embedcache.backbones.weights import load_tower, read_weights, tower_mismatch, weights_digest
from embedcache.errors import BackboneError

__all__ = [
    "PREFIX",
    "build",
    "fetch",
    "image_tower",
    "is_local",
    "known_names",
    "published_config",
    "resolve_quickgelu",
    "sketch",
]

_DEFAULT_FILE = "open_clip_pytorch_model.bin"
_SAFE_FILE = "open_clip_model.safetensors"
PREFIX = "visual."
"""Of the image tower in a state dict of the whole model."""

_URL_FOLDER = Path("~/.cache/clip")
"""Where open_clip itself keeps files that come from a plain URL."""

# The image tower does not depend on the text tower, which is built as small as it gets:
# that saves its memory, its random initialisation, and the transformers library.
_SMALL_TEXT = {"width": 64, "heads": 1, "layers": 1, "context_length": 8, "vocab_size": 8}

_REFUSALS = (BackboneError, RuntimeError, AssertionError, ValueError, TypeError)
"""What open_clip raises when an architecture cannot have another image size."""


def known_names() -> list[str]:
    """All models of open_clip that have published weights, one name per weights."""
    import open_clip

    return [f"open_clip/{model}:{tag}" for model, tag in open_clip.list_pretrained()]


def is_local(name: BackboneName) -> bool:
    """Whether the published weights are on this machine."""
    model, tag = resolve_quickgelu(name)
    config = published_config(model, tag)
    repo, files = _hub_files(config)
    if repo:
        return find_hub_file(repo, files) is not None
    return find_url_file(config["url"], _URL_FOLDER.expanduser()) is not None


def build(name: BackboneName, request: BackboneRequest) -> Architecture:
    """The image tower, its weights and its preprocessing.

    Raises:
        BackboneError: No such model or weights, or an option that it does not have.
        WeightsUnavailableError: The weights are not here and cannot be fetched.
        CacheInvalidError: The weight file is damaged.
    """
    if request.pooling is not None:
        raise BackboneError(
            "models of open_clip have one pooling, the one that they were trained with",
            got=f"--pooling {request.pooling}",
        )
    model, tag = resolve_quickgelu(name, needs_tag=request.weights is None)
    config = published_config(model, tag) if tag else {}
    state, file = read_weights(request.weights or fetch(config))
    size = request.image_size
    sized = None if size is None else _sized(model, state, size)
    tower = sized or image_tower(model, state, where=file.path)
    digest = weights_digest(tower)  # before resampling, whose rounding depends on the machine
    if size is not None and sized is None:
        tower = _resize(model, tower, size)
    return Architecture(
        name=f"open_clip/{model}" + (f":{tag}" if tag else ""),
        source="open_clip",
        architecture=model,
        module=tower,
        weights=digest,
        preprocessing=read_transform(_transform(tower, config)),
        layer="image-embedding",
        pooling="default",
        weight_files=(file,),
        license="",
        library=f"open_clip {importlib.metadata.version('open_clip_torch')}",
    )


def sketch(name: BackboneName) -> Sketch:
    """The image tower without its weights.

    Raises:
        BackboneError: No such model or weights, or preprocessing that is not reproduced.
    """
    model, tag = resolve_quickgelu(name)
    with torch.device("meta"):
        tower = _only_embedding(_create(model, device="meta").visual)
    return Sketch(tower, read_transform(_transform(tower, published_config(model, tag))), "")


def resolve_quickgelu(name: BackboneName, *, needs_tag: bool = True) -> tuple[str, str | None]:
    """The architecture and tag that a name means.

    Weights that were trained with QuickGELU (OpenAI's and some others) load without a
    complaint into the architecture without it, and give worse features: open_clip only
    warns (its issue 771). Here they bring the `-quickgelu` architecture with them.

    Raises:
        BackboneError: No such model or weights, or no tag where one is needed.
    """
    import open_clip

    if name.model not in open_clip.list_models():
        raise unknown_model(name, known_names())
    if name.tag is None and not needs_tag:
        return name.model, None
    tag = (name.tag or "").lower().replace("-", "_")
    if tag not in open_clip.list_pretrained_tags_by_model(name.model):
        known = [item for item in known_names() if item.startswith(f"open_clip/{name.model}:")]
        raise unknown_weights(name, known)
    config = published_config(name.model, tag)
    trained_with = config.get("quick_gelu", False)
    built_with = open_clip.get_model_config(name.model).get("quick_gelu", False)
    other = f"{name.model}-quickgelu"
    if trained_with and not built_with and other in open_clip.list_models():
        return other, tag
    return name.model, tag


def image_tower(model: str, state: Mapping[str, Tensor], *, where: object) -> nn.Module:
    """The image tower of an architecture, filled from a state dict of the whole model.

    Args:
        model: The architecture.
        state: The tensors, of the whole model or of its image tower.
        where: File or name for the message.

    Raises:
        BackboneError: A tensor is missing, unexpected or of another shape.
    """
    import open_clip

    whole = _create(model)
    state = open_clip.factory.convert_state_dict(whole, dict(state))
    load_tower(whole.visual, _of_image_tower(state), where=where)
    return _only_embedding(whole.visual)


def _of_image_tower(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    if any(key.startswith(PREFIX) for key in state):
        return {k.removeprefix(PREFIX): v for k, v in state.items() if k.startswith(PREFIX)}
    return state


def _sized(model: str, state: Mapping[str, Tensor], image_size: int) -> nn.Module | None:
    """The tower for another image size, if the tensors were saved at that size; else None."""
    try:
        tower = _create(model, force_image_size=image_size).visual
    except _REFUSALS:
        return None
    state = _of_image_tower(state)
    if tower_mismatch(tower, state) is not None:
        return None
    load_tower(tower, state, where=model)
    return _only_embedding(tower)


def _resize(model: str, tower: Any, image_size: int) -> nn.Module:
    """The tower for square images of another size, position embeddings resampled by open_clip."""
    from open_clip.model import resize_pos_embed

    try:
        if hasattr(tower, "set_input_size"):
            tower.set_input_size(image_size)
            return cast("nn.Module", tower)
        whole = _create(model, force_image_size=image_size)
        state = {f"{PREFIX}{key}": value for key, value in tower.state_dict().items()}
        resize_pos_embed(state, whole)
        state = {key.removeprefix(PREFIX): value for key, value in state.items()}
        load_tower(whole.visual, state, where=model)
    except _REFUSALS as error:
        raise BackboneError(
            "this architecture cannot take another image size",
            where=f"open_clip/{model}",
            got=f"--image-size {image_size}",
            expected=tower.image_size,
        ) from error
    return _only_embedding(whole.visual)


def _create(model: str, **arguments: Any) -> Any:
    """The whole model, with a text tower of no use."""
    import open_clip

    if "multimodal_cfg" in open_clip.get_model_config(model):
        arguments["multimodal_cfg"] = _SMALL_TEXT
    with hushed():
        return open_clip.create_model(model, load_weights=False, text_cfg=_SMALL_TEXT, **arguments)


def _only_embedding(tower: nn.Module) -> nn.Module:
    """The same tower, giving the embedding alone; CoCa's gives the tokens as well."""
    tower.register_forward_hook(lambda _, __, out: out[0] if isinstance(out, tuple) else out)
    return tower


def _transform(tower: Any, config: Mapping[str, Any]) -> Any:
    """The evaluation transform of published weights, at the tower's image size."""
    from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict

    merged = merge_preprocess_dict(PreprocessCfg(), {**config, "size": tower.image_size})
    return image_transform_v2(PreprocessCfg(**merged), is_train=False)


def published_config(model: str, tag: str | None) -> dict[str, Any]:
    """Where published weights lie, and how they were trained, in open_clip's words."""
    from open_clip.pretrained import get_pretrained_cfg

    config: dict[str, Any] = get_pretrained_cfg(model, tag)
    return config


def fetch(config: Mapping[str, Any]) -> Path:
    """The file of published weights, downloaded if need be.

    Raises:
        WeightsUnavailableError: It is not here and cannot be fetched.
    """
    repo, files = _hub_files(config)
    return hub_file(repo, files) if repo else url_file(config["url"], _URL_FOLDER.expanduser())


def _hub_files(config: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Repository and candidate files, in open_clip's order: `owner/name/[file]`."""
    repo, file = os.path.split(config.get("hf_hub", ""))
    if not file:
        return repo, (_SAFE_FILE, _DEFAULT_FILE)
    stem, suffix = os.path.splitext(file)
    return repo, (f"{stem}.safetensors", file) if suffix in {".bin", ".pth"} else (file,)
