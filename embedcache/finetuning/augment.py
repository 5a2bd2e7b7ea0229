"""Augmentation presets of torchvision, on prepared images: uint8 in, uint8 out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from embedcache.finetuning.augment_names import AUGMENTATIONS

__all__ = ["AUGMENTATIONS", "augmentation"]


def augmentation(name: str) -> Callable[[Tensor], Tensor] | None:
    """A random change of one image, (3, H, W) uint8; None for `none`.

    It draws from torch's global generator.

    Args:
        name: One of `AUGMENTATIONS`.
    """
    from torchvision.transforms import v2

    flip, upside_down = v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()
    shift = v2.RandomAffine(degrees=5, translate=(0.05, 0.05), scale=(0.9, 1.1))
    tint = v2.ColorJitter(brightness=0.15, contrast=0.15)
    presets: dict[str, list[Any]] = {
        "none": [],
        "flip": [flip],
        "flips": [flip, upside_down],
        "light": [flip, shift, tint],
        # Müller & Hutter 2021, https://arxiv.org/abs/2103.10158: no strength to be tuned.
        "strong": [flip, v2.TrivialAugmentWide()],
    }
    chosen = presets[name]
    return v2.Compose(chosen) if chosen else None
