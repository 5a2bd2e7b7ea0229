"""Make embedding towers of timm: from a state dict, at another image size, with another pooling."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from embedcache.backbones.weights import load_tower, tower_mismatch
from embedcache.errors import BackboneError

__all__ = [
    "POOLINGS",
    "create_tower",
    "pool_tower",
    "resize_tower",
    "sized_tower",
    "tagged",
]

POOLINGS = {"avg": "avg", "max": "max", "avgmax": "avgmax", "cls": "token"}
"""Our names of poolings, and timm's."""

# What timm raises when an architecture does not have an option, or not with these weights.
_REFUSALS = (RuntimeError, AssertionError, ValueError, TypeError, KeyError, AttributeError)


def tagged(config: Any) -> str:
    """Timm's full name of a pretrained configuration, `ARCHITECTURE[.TAG]`."""
    return str(config.architecture) + (f".{config.tag}" if config.tag else "")


def create_tower(config: Any, state: Mapping[str, Tensor], path: Path) -> nn.Module:
    """The tower of an architecture, without classifier, filled from a state dict.

    Tensors that fit as they are, but for the classifier's, are loaded as they are. Others
    go through timm's own conversion, which knows the original authors' formats.

    Args:
        config: A pretrained configuration.
        state: The tensors.
        path: The file that they came from, for the message.

    Raises:
        BackboneError: A tensor is missing, unexpected or of another shape.
    """
    tower = _create(config, num_classes=0)
    classifier = _classifier(config)
    mismatch = tower_mismatch(tower, state, classifier)
    if mismatch is not None:
        converted = _convert(config, state)
        if converted is None:
            raise BackboneError(
                "these weights do not fit the architecture", where=path, got=mismatch
            )
        state = converted
    load_tower(tower, state, where=path, classifier=classifier)
    return tower


def sized_tower(config: Any, state: Mapping[str, Tensor], image_size: int) -> nn.Module | None:
    """The tower for another image size, if the tensors were saved at that size; else None."""
    if not config.fixed_input_size:
        return None
    try:
        tower = _create(config, num_classes=0, img_size=image_size)
    except _REFUSALS:
        return None
    classifier = _classifier(config)
    if tower_mismatch(tower, state, classifier) is not None:
        return None
    load_tower(tower, state, where=tagged(config), classifier=classifier)
    return tower


def resize_tower(config: Any, tower: nn.Module, image_size: int) -> nn.Module:
    """The tower for square images of another size, position embeddings resampled by timm.

    Raises:
        BackboneError: The architecture cannot take another size.
    """
    if not config.fixed_input_size:
        return tower
    refused = BackboneError(
        "this architecture cannot take another image size",
        where=f"timm/{tagged(config)}",
        got=f"--image-size {image_size}",
        expected=config.input_size[-1],
    )
    try:
        resized = _create(config, num_classes=0, img_size=image_size)
    except _REFUSALS as error:
        raise refused from error
    state: Mapping[str, Tensor] | None = tower.state_dict()
    if state is not None and tower_mismatch(resized, state) is not None:
        state = _convert(config, state, img_size=image_size)
    if state is None:
        raise refused
    load_tower(resized, state, where=tagged(config))
    return resized


def pool_tower(tower: Any, pooling: str | None) -> str:
    """Set the pooling that was asked for.

    Returns:
        Its name for the identity: `default` where it is the model's own.

    Raises:
        BackboneError: Unknown, or not one that the architecture has.
    """
    if pooling is None:
        return "default"
    if pooling not in POOLINGS:
        raise BackboneError(
            "unknown pooling", got=f"--pooling {pooling}", expected=", ".join(POOLINGS)
        )
    own = getattr(tower, "global_pool", None) or getattr(
        getattr(tower, "head", None), "global_pool", None
    )
    if POOLINGS[pooling] in {own, getattr(own, "pool_type", None)}:
        return "default"
    try:
        tower.reset_classifier(0, global_pool=POOLINGS[pooling])
    except _REFUSALS as error:
        raise BackboneError(
            "this architecture does not have the pooling that was asked for",
            got=f"--pooling {pooling}",
            hint="leave --pooling away for the model's own",
        ) from error
    return pooling


def _create(config: Any, **arguments: Any) -> nn.Module:
    import timm

    create: Callable[..., nn.Module] = timm.create_model
    return create(tagged(config), **arguments)


def _convert(
    config: Any, state: Mapping[str, Tensor], **arguments: Any
) -> Mapping[str, Tensor] | None:
    """A tower's tensors as timm converts them, strictly; `None` if it cannot."""
    for classes in _class_counts(config, state):
        # Given as many classes as the file has, timm loads with strict=True.
        overlay = {"state_dict": dict(state), "num_classes": classes, "label_offset": 0}
        try:
            model: Any = _create(
                config,
                pretrained=True,
                pretrained_cfg_overlay=overlay,
                num_classes=classes,
                **arguments,
            )
            model.reset_classifier(0)
        except _REFUSALS:
            continue
        converted: Mapping[str, Tensor] = model.state_dict()
        return converted
    return None


def _class_counts(config: Any, state: Mapping[str, Tensor]) -> Iterator[int]:
    """Numbers of classes that a file may have: its classifier's, its last tensor's, none, …."""
    names = [f"{part}.weight" for part in _classifier(config)]
    counts = [len(state[name]) for name in names if name in state]
    *_, last = state.values()
    counts += [len(last)] if last.ndim else []
    yield from dict.fromkeys([*counts, 0, config.num_classes])


def _classifier(config: Any) -> tuple[str, ...]:
    names = config.classifier or ()
    return (names,) if isinstance(names, str) else tuple(names)
