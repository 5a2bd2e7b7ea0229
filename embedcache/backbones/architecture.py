"""`Architecture`: a model that a source built, before it is put to work on a device.

B is the batch size, H and W the input's height and width, D the embedding dimension.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from embedcache.backbones.weight_file import WeightFile
from embedcache.inputs.preprocess import Preprocessing

__all__ = ["Architecture"]


@dataclass(frozen=True, eq=False)
class Architecture:
    """An embedding tower with its weights, on the CPU, in evaluation mode.

    Attributes:
        name: Canonical name as a person would ask for it, weights tag included.
        source: Library that defines the architecture, as in the identity.
        architecture: Its name there, without the tag: the weights' digest says more.
        module: (B, 3, H, W) float32, normalised, to (B, D); no classifier.
        preprocessing: What the weights were trained with.
        layer: Where the feature is read.
        pooling: `default`, or another that was asked for.
        weight_files: Files that the weights came from.
        license: Licence of the weights, empty where unknown.
        library: The library and its version, `timm 1.0.31`.
    """

    name: str
    source: str
    architecture: str
    module: nn.Module
    preprocessing: Preprocessing
    layer: str
    pooling: str
    weight_files: tuple[WeightFile, ...]
    license: str
    library: str
