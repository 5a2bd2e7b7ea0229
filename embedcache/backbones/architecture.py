"""What a source builds: an `Architecture` to put to work, or a `Sketch` to describe.

B is the batch size, H and W the input's height and width, D the embedding dimension.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from embedcache.backbones.weight_file import WeightFile
from embedcache.inputs.preprocess import Preprocessing

__all__ = ["Architecture", "Sketch"]


@dataclass(frozen=True, eq=False)
class Architecture:
    """An embedding tower with its weights, on the CPU, in evaluation mode.

    Attributes:
        name: Canonical name as a person would ask for it, weights tag included.
        source: Library that defines the architecture, as in the identity.
        architecture: Its name there, without the tag: the weights' digest says more.
        module: (B, 3, H, W) float32, normalised, to (B, D); no classifier.
        weights: Digest of the tower's tensors, before any change of image size.
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
    weights: str
    preprocessing: Preprocessing
    layer: str
    pooling: str
    weight_files: tuple[WeightFile, ...]
    license: str
    library: str


@dataclass(frozen=True, eq=False)
class Sketch:
    """An embedding tower without weights, on torch's `meta` device, which takes no memory.

    Attributes:
        module: (B, 3, H, W) to (B, D), shapes only.
        preprocessing: What the published weights were trained with.
        license: Licence of the published weights, empty where unknown.
    """

    module: nn.Module
    preprocessing: Preprocessing
    license: str
