"""Read an image processor of transformers as a `Preprocessing` record, strictly.

Resizing is Pillow's. The crop is torchvision's and timm's, who round half a pixel to even,
where transformers rounds it down: where 3, 7, 11, … columns or rows are cut, it lies one
pixel further.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from embedcache.backbones.transforms import record
from embedcache.errors import BackboneError
from embedcache.inputs.preprocess import Preprocessing
from embedcache.records.json_text import parse_json

__all__ = ["read_processor"]

_KNOWN = {"ViT", "DeiT", "Bit", "CLIP", "ConvNext"}
_INTERPOLATIONS = {0: "nearest", 2: "bilinear", 3: "bicubic"}


def read_processor(folder: Path) -> Preprocessing:
    """What `preprocessor_config.json` of a folder amounts to.

    Raises:
        BackboneError: A kind of processor, or a step, that is not reproduced.
    """
    import transformers

    path = folder / "preprocessor_config.json"
    try:
        stated = parse_json(path.read_bytes())
        auto: Any = transformers.AutoImageProcessor
        processor: Any = auto.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise BackboneError(
            "no image processor that transformers knows", where=path, got=str(error)[:200]
        ) from error
    kind = type(processor).__name__
    for ending in ("Pil", "Fast"):
        kind = kind.removesuffix(ending)
    kind = kind.removesuffix("ImageProcessor")
    if kind not in _KNOWN:
        raise _unreadable(path, f"{kind}ImageProcessor")
    for step in ("do_resize", "do_rescale", "do_normalize"):
        if not getattr(processor, step, False):
            raise _unreadable(path, f"{step} false")
    if abs(processor.rescale_factor * 255 - 1) > 1e-6 or stated.get("do_pad"):
        raise _unreadable(path, f"rescale_factor {processor.rescale_factor}, or padding")
    size = dict(processor.size)
    size = {key: value for key, value in size.items() if value is not None}
    crops = bool(getattr(processor, "do_center_crop", False))
    if kind == "ConvNext":
        fields = _convnext(path, size, float(processor.crop_pct))
    elif set(size) == {"height", "width"}:
        target = int(size["height"]), int(size["width"])
        fields = {"resize": "squash", "resize_to": target, "image_size": target}
    elif set(size) == {"shortest_edge"} and crops:
        fields = {"resize": "shortest", "resize_to": (int(size["shortest_edge"]),) * 2}
    else:
        raise _unreadable(path, f"size {size}")
    if crops and kind != "ConvNext":
        crop = processor.crop_size
        fields["image_size"] = int(crop["height"]), int(crop["width"])
    interpolation = _INTERPOLATIONS.get(int(processor.resample))
    if interpolation is None:
        raise _unreadable(path, f"resample {processor.resample}")
    return record(
        **fields,
        interpolation=interpolation,
        fill=(0, 0, 0),
        mean=tuple(float(value) for value in processor.image_mean),
        std=tuple(float(value) for value in processor.image_std),
    )


def _convnext(path: Path, size: dict[str, int], share: float) -> dict[str, Any]:
    """ConvNeXt's own rule: below 384 pixels resized larger and cropped, from there squashed."""
    if set(size) != {"shortest_edge"}:
        raise _unreadable(path, f"size {size}")
    side = int(size["shortest_edge"])
    if side >= 384:
        return {"resize": "squash", "resize_to": (side, side), "image_size": (side, side)}
    larger = int(side / share)
    return {"resize": "shortest", "resize_to": (larger, larger), "image_size": (side, side)}


def _unreadable(path: Path, what: str) -> BackboneError:
    return BackboneError(
        "the model's preprocessing has a step that embedcache does not reproduce",
        where=path,
        got=what,
        hint="choose another backbone: embedcache backbones",
    )
