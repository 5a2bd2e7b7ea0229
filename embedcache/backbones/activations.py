"""Read a backbone in its middle: what a block takes, as a feature of a backbone of its own.

So activations are cached like any features, by the same code and with the same promises:
the identity has the tensors of the lower part alone, and the block's name for its layer.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from embedcache.backbones.architecture import Architecture
from embedcache.backbones.families import sections
from embedcache.backbones.splitting import split_at, tensors_of
from embedcache.backbones.weights import tensors_digest

__all__ = ["Split", "profile", "read_at"]

_ROWS = 8
"""Images per timed pass."""

_PASSES = 4
"""The fastest counts for each section: a busy machine once made one pass 15 times as slow."""


def read_at(architecture: Architecture, boundary: str) -> Architecture:
    """The lower part of an architecture, giving (B, D) with D the elements of an activation.

    Args:
        architecture: The whole tower.
        boundary: One of `splitting.boundaries`.

    Raises:
        BackboneError: The architecture or the block is not known.
    """
    tower = architecture.module
    lower, _ = split_at(tower, boundary)
    return replace(
        architecture,
        module=nn.Sequential(lower, nn.Flatten()).eval(),
        weights=tensors_digest(tensors_of(tower, boundary)),
        layer=boundary,
        pooling="none",
    )


@dataclass(frozen=True)
class Split:
    """What it would mean to split a tower at a block.

    Attributes:
        boundary: The block.
        shape: Of one activation, (C, H, W) or (tokens, width).
        lower: Seconds per image before it.
        upper: Seconds per image from it on.
    """

    boundary: str
    shape: tuple[int, ...]
    lower: float
    upper: float

    @property
    def elements(self) -> int:
        """Numbers in one activation."""
        return int(torch.Size(self.shape).numel())


@torch.inference_mode()
def profile(tower: nn.Module, image_size: tuple[int, int]) -> tuple[Split, ...]:
    """Every split of a tower, timed on a few random images, the fastest pass.

    Args:
        tower: On its device, in evaluation mode.
        image_size: (H, W) in pixels.

    Raises:
        BackboneError: The architecture is not known.
    """
    known = sections(tower)
    device = next(tower.parameters()).device
    images = torch.randn(_ROWS, 3, *image_size, generator=torch.Generator().manual_seed(0))
    fastest = [float("inf")] * len(known)
    for _ in range(_PASSES):
        activations: Tensor = images.to(device)
        shapes = []
        for number, section in enumerate(known):
            shapes.append(tuple(activations.shape[1:]))
            started = time.perf_counter()
            activations = section.run(tower, activations)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            taken = (time.perf_counter() - started) / _ROWS
            fastest[number] = min(fastest[number], taken)
    return tuple(
        Split(section.name, shape, sum(fastest[:number]), sum(fastest[number:]))
        for number, (section, shape) in enumerate(zip(known, shapes, strict=True))
        if number
    )
