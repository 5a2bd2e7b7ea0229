"""Names of the augmentation presets; apart, so that `--help` does not import torchvision."""

from __future__ import annotations

__all__ = ["AUGMENTATIONS"]

AUGMENTATIONS = ("none", "flip", "flips", "light", "strong")
"""Nothing; left and right; also up and down; a flip, small shifts and tints; a flip and
TrivialAugment."""
