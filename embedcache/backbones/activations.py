"""Read a backbone in its middle: what a block takes, as a feature of a backbone of its own.

So activations are cached like any features, by the same code and with the same promises:
the identity has the tensors of the lower part alone, and the block's name for its layer.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from embedcache.backbones.architecture import Architecture
from embedcache.backbones.splitting import split_at, tensors_of
from embedcache.backbones.weights import tensors_digest

__all__ = ["read_at"]


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
