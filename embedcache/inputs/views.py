"""`View`: one of several augmented versions of an image, the same one at every time and place.

A view depends on nothing but the image's bytes and its own three fields, so it can be cached
like any other input. H × W is the input's size in pixels.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from embedcache.records.identity import NO_VIEW, Identity

__all__ = ["RECIPES", "View"]

RECIPES = {
    "flip": (1.0, 0.5, 0.0),
    "crop": (0.7, 0.0, 0.0),
    "crops": (0.7, 0.5, 0.0),
    "flips": (0.85, 0.5, 0.5),
}
"""Least share of the area that a crop keeps, and chances of a flip left to right and upside
down: `flip`, `crop`, `crops` (both of these), and `flips` for images without an upper side."""

_MOST_STRETCHED = 4 / 3
"""Ratio of a crop's sides, at most: as in Szegedy et al. 2015,
https://arxiv.org/abs/1409.4842, section 6. Their least area, 8 %, often loses the object."""


@dataclass(frozen=True)
class View:
    """A random crop, brought back to size, and flips, made by torchvision.

    Attributes:
        recipe: One of `RECIPES`.
        number: Which one, from 1 on; the image as it is counts as view 0.
        seed: Of all views together.
    """

    recipe: str
    number: int
    seed: int

    def __str__(self) -> str:
        """As an identity has it, `RECIPE-NUMBER-SEED`."""
        return f"{self.recipe}-{self.number}-{self.seed}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The view, from its text.

        Raises:
            ValueError: It is none.
        """
        recipe, _, rest = text.partition("-")
        number, _, seed = rest.partition("-")
        if recipe not in RECIPES or not (number.isdecimal() and seed.isdecimal()):
            raise ValueError(f"not a view: {text!r}")
        return cls(recipe, int(number), int(seed))

    @classmethod
    def from_identity(cls, identity: Identity) -> Self | None:
        """What an identity says of it; `None` for plain images.

        Raises:
            ValueError: It is no view.
        """
        return None if identity.view == NO_VIEW else cls.parse(identity.view)

    def apply(self, pixels: NDArray[np.uint8], data: bytes) -> NDArray[np.uint8]:
        """The view of a prepared image.

        Args:
            pixels: (H, W, 3) uint8.
            data: The encoded image, which sets what is drawn.
        """
        import torch
        from torchvision.transforms.v2 import functional

        # Its own generator: torchvision's classes draw from the one that all threads share.
        key = hashlib.sha256(hashlib.sha256(data).digest() + str(self).encode()).digest()
        random = np.random.default_rng(int.from_bytes(key[:8], "little"))
        least, sideways, upside_down = RECIPES[self.recipe]
        height, width = pixels.shape[:2]
        planes = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)
        if least < 1:
            top, left, tall, wide = _crop(height, width, least, random)
            planes = functional.resized_crop(planes, top, left, tall, wide, [height, width])
        if random.random() < sideways:
            planes = functional.horizontal_flip(planes)
        if random.random() < upside_down:
            planes = functional.vertical_flip(planes)
        return np.ascontiguousarray(planes.permute(1, 2, 0).numpy())


def _crop(
    height: int, width: int, least: float, random: np.random.Generator
) -> tuple[int, int, int, int]:
    """Top, left, height and width of a crop, its sides cut to the image's."""
    area = random.uniform(least, 1)
    ratio = math.exp(random.uniform(-1, 1) * math.log(_MOST_STRETCHED))
    tall = min(height, max(1, round(height * math.sqrt(area / ratio))))
    wide = min(width, max(1, round(width * math.sqrt(area * ratio))))
    top, left = random.integers(height - tall + 1), random.integers(width - wide + 1)
    return int(top), int(left), tall, wide
