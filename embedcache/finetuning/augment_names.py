"""Names of the augmentation presets; apart, so that `--help` does not import torchvision."""

from __future__ import annotations

__all__ = ["AUGMENTATIONS", "NO_AUGMENTATION", "TAIL_AUGMENTATIONS"]

NO_AUGMENTATION = "none"

AUGMENTATIONS = (NO_AUGMENTATION, "flip", "flips", "light", "strong")
"""Nothing; left and right; also up and down; a flip, small shifts and tints; a flip and
TrivialAugment."""

TAIL_AUGMENTATIONS = (NO_AUGMENTATION, "flip", "crop", "crops", "flips")
"""Of the tail, which is trained on views that are drawn once and cached: `inputs.views.RECIPES`."""
