"""Read a library's evaluation transform as a `Preprocessing` record, strictly.

Every step must be one that `Preprocessing.apply` reproduces bit for bit; any
other is an error, because a guess would give features that differ silently.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from embedcache.errors import BackboneError
from embedcache.inputs.preprocess import Preprocessing

__all__ = ["read_transform", "record", "scale_to"]

# Steps that do nothing to an RGB image but change its container or scale it to 0..1.
_NEUTRAL = {"ToTensor", "MaybeToTensor", "MaybeConvertMode", "_convert_to_rgb"}


def read_transform(transform: Any) -> Preprocessing:
    """The record that a transform of torchvision, timm or open_clip amounts to.

    Raises:
        BackboneError: A step is unknown, or steps come in another order.
    """
    if type(transform).__name__ == "ImageClassification":
        return _read_preset(transform)
    steps: dict[int, dict[str, Any]] = {}
    for step in getattr(transform, "transforms", [transform]):
        name = getattr(step, "__name__", type(step).__name__)
        role, reader = _READERS.get(name, (None, None))
        if name in _NEUTRAL:
            continue
        if role is None or reader is None or role in steps or role < max(steps, default=role):
            raise _unreadable(step)
        steps[role] = reader(step)
    if _RESIZE not in steps or _NORMALISE not in steps:
        raise _unreadable(transform)
    resize = steps[_RESIZE]
    crop = steps.get(_CROP, {})
    if not crop and resize["resize"] != "squash":
        raise _unreadable(transform)
    return record(**{"image_size": resize["resize_to"], **resize, **crop, **steps[_NORMALISE]})


def scale_to(preprocessing: Preprocessing, side: int) -> Preprocessing:
    """The same preprocessing for another square input, its resize scaled in proportion."""
    (resized_height, resized_width) = preprocessing.resize_to
    (height, width) = preprocessing.image_size
    resize_to = (round(resized_height * side / height), round(resized_width * side / width))
    return replace(preprocessing, resize_to=resize_to, image_size=(side, side))


def _read_preset(preset: Any) -> Preprocessing:
    """As torchvision's `ImageClassification`: resize the shortest side, crop, normalise."""
    return record(
        resize="shortest",
        resize_to=_pair(preset.resize_size),
        image_size=_pair(preset.crop_size),
        interpolation=_interpolation(preset),
        fill=(0, 0, 0),
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )


def record(**fields: Any) -> Preprocessing:
    """The record, with a fill only where it can show."""
    covers = all(a >= b for a, b in zip(fields["resize_to"], fields["image_size"], strict=True))
    if fields["resize"] != "longest" and covers:
        fields["fill"] = None
    try:
        return Preprocessing(**fields)
    except ValueError as error:
        raise BackboneError(
            "the model's preprocessing is outside what embedcache reproduces", got=error
        ) from error


def _read_resize(step: Any) -> dict[str, Any]:
    """As torchvision's Resize: one number is the shortest side, two are both sides."""
    if step.max_size is not None:
        raise _unreadable(step)
    single = isinstance(step.size, int) or len(step.size) == 1
    return {
        "resize": "shortest" if single else "squash",
        "resize_to": _pair(step.size),
        "interpolation": _interpolation(step),
    }


def _read_keep_ratio(step: Any) -> dict[str, Any]:
    """ResizeKeepRatio of timm and open_clip, without its random parts."""
    size = _pair(step.size)
    random = step.random_scale_prob or step.random_aspect_prob
    # With a square target and the shortest side, it rounds unlike Resize: nobody builds that.
    square_shortest = step.longest == 0 and size[0] == size[1]
    if random or step.longest not in {0, 1} or square_shortest:
        raise _unreadable(step)
    return {
        "resize": "longest" if step.longest else "shortest",
        "resize_to": size,
        "interpolation": _interpolation(step),
    }


def _read_crop(step: Any) -> dict[str, Any]:
    return {"image_size": _pair(step.size), "fill": (0, 0, 0)}


def _read_crop_or_pad(step: Any) -> dict[str, Any]:
    if getattr(step, "padding_mode", "constant") != "constant":
        raise _unreadable(step)
    fill = step.fill if isinstance(step.fill, Sequence) else (step.fill,) * 3
    return {"image_size": _pair(step.size), "fill": tuple(int(value) for value in fill)}


def _read_normalise(step: Any) -> dict[str, Any]:
    return {
        "mean": tuple(float(value) for value in step.mean),
        "std": tuple(float(value) for value in step.std),
    }


def _pair(size: Any) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    height, width = size if len(size) == 2 else (size[0], size[0])
    return int(height), int(width)


def _interpolation(step: Any) -> str:
    return str(getattr(step.interpolation, "value", step.interpolation))


def _unreadable(step: Any) -> BackboneError:
    return BackboneError(
        "the model's preprocessing has a step that embedcache does not reproduce",
        got=" ".join(repr(step).split()),
        hint="choose another backbone: embedcache backbones",
    )


_RESIZE, _CROP, _NORMALISE = range(3)
_READERS: dict[str, tuple[int, Callable[[Any], dict[str, Any]]]] = {
    "Resize": (_RESIZE, _read_resize),
    "ResizeKeepRatio": (_RESIZE, _read_keep_ratio),
    "CenterCrop": (_CROP, _read_crop),
    "CenterCropOrPad": (_CROP, _read_crop_or_pad),
    "Normalize": (_NORMALISE, _read_normalise),
}
