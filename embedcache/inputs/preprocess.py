"""`Preprocessing`: an RGB image to a backbone's input, before normalisation.

H and W are the height and width of the backbone's input in pixels. All is
done by Pillow on 8-bit values, bit-equal to the pipelines that torchvision,
timm and open_clip build for `PIL.Image` inputs; scaling to 0..1 and
normalisation follow on the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embedcache.errors import InputRejectedError
from embedcache.inputs.images import MAX_PIXELS
from embedcache.records.identity import Identity

__all__ = ["Preprocessing"]

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes a backbone's input.

    Attributes:
        resize: `shortest`: the image covers `resize_to`; `longest`: it fits inside;
            `squash`: it is stretched to it.
        resize_to: (height, width) in pixels, before the centre crop.
        image_size: (H, W), after the centre crop.
        interpolation: `nearest`, `bilinear` or `bicubic`, always antialiased.
        fill: (R, G, B) in 0..255 where the crop reaches beyond the image; `None` where it cannot.
        mean: (r, g, b), subtracted after scaling pixels to 0..1.
        std: (r, g, b), the divisor after that.
    """

    resize: str
    resize_to: tuple[int, int]
    image_size: tuple[int, int]
    interpolation: str
    fill: tuple[int, int, int] | None
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        """Refuse values that no backbone has.

        Raises:
            ValueError: A field is out of its range.
        """
        if self.resize not in {"shortest", "longest", "squash"}:
            raise ValueError(f"resize: got {self.resize!r}")
        if self.interpolation not in _FILTERS:
            raise ValueError(f"interpolation: got {self.interpolation!r}")
        if min(*self.resize_to, *self.image_size) < 1:
            raise ValueError(f"sizes: got {self.resize_to} and {self.image_size}")
        if self.fill is None and self._may_need_fill():
            raise ValueError("fill: needed, because the image may be smaller than the crop")
        if min(self.std) <= 0:
            raise ValueError(f"std: got {self.std}")

    def _may_need_fill(self) -> bool:
        smaller = any(a < b for a, b in zip(self.resize_to, self.image_size, strict=True))
        return smaller or self.resize == "longest"

    @classmethod
    def from_identity(cls, identity: Identity) -> Self:
        """What an identity says about preprocessing.

        Raises:
            ValueError: Its strings are not those of `to_strings`.
        """
        fill = None if identity.fill == "none" else _numbers(identity.fill)
        return cls(
            identity.resize,
            _size(identity.resize_to),
            _size(identity.image_size),
            identity.interpolation,
            None if fill is None else (int(fill[0]), int(fill[1]), int(fill[2])),
            _numbers(identity.mean),
            _numbers(identity.std),
        )

    def to_strings(self) -> dict[str, str]:
        """The identity's fields on preprocessing, by name.

        `mean` and `std` are written as float32, the type that they are used in: libraries
        hold the same number as 0.485 or as 0.48500001430511475.
        """
        return {
            "resize": self.resize,
            "resize_to": "{}x{}".format(*self.resize_to),
            "image_size": "{}x{}".format(*self.image_size),
            "interpolation": self.interpolation,
            "fill": "none" if self.fill is None else ",".join(map(str, self.fill)),
            "mean": ",".join(str(np.float32(x)) for x in self.mean),
            "std": ",".join(str(np.float32(x)) for x in self.std),
        }

    def apply(self, image: Image.Image) -> NDArray[np.uint8]:
        """The backbone's input, (H, W, 3) uint8, of an image of mode RGB.

        Raises:
            InputRejectedError: The image is so long and thin that resizing it would take
                more than `MAX_PIXELS`.
        """
        height, width = self._resized(image.height, image.width)
        if height * width > MAX_PIXELS:
            detail = f"{image.width} x {image.height} pixels would become {width} x {height}"
            raise InputRejectedError("TOO_LARGE", detail)
        resized = image.resize((width, height), _FILTERS[self.interpolation], reducing_gap=None)
        return np.asarray(self._crop(resized))

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        target_height, target_width = self.resize_to
        if self.resize == "squash":
            return target_height, target_width
        if self.resize == "shortest" and target_height == target_width:
            # torchvision's Resize(int): the long side is rounded down.
            if width <= height:
                return int(target_width * height / width), target_width
            return target_height, int(target_height * width / height)
        # ResizeKeepRatio of timm and open_clip: both sides are rounded to nearest.
        ratios = height / target_height, width / target_width
        ratio = max(ratios) if self.resize == "longest" else min(ratios)
        # Where they would round a thread-thin image to no pixels and fail, one is left.
        return max(1, round(height / ratio)), max(1, round(width / ratio))

    def _crop(self, image: Image.Image) -> Image.Image:
        """The centre, padded first where it is too small: CenterCrop and CenterCropOrPad."""
        height, width = self.image_size
        if image.height < height or image.width < width:
            missing = max(height - image.height, 0), max(width - image.width, 0)
            padded_size = (image.width + missing[1], image.height + missing[0])
            padded = Image.new("RGB", padded_size, self.fill or (0, 0, 0))
            padded.paste(image, (missing[1] // 2, missing[0] // 2))
            image = padded
        top = round((image.height - height) / 2)
        left = round((image.width - width) / 2)
        return image.crop((left, top, left + width, top + height))


def _size(text: str) -> tuple[int, int]:
    height, width = text.split("x")
    return int(height), int(width)


def _numbers(text: str) -> tuple[float, float, float]:
    first, second, third = map(float, text.split(","))
    return first, second, third
