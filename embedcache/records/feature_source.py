"""`FeatureSource`: which backbone and which cache a block of feature columns comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from embedcache.records.identity import Identity

__all__ = ["FeatureSource", "joined_name"]


@dataclass(frozen=True)
class FeatureSource:
    """Where columns of a feature table come from.

    Several sources side by side are in the order of their columns.

    Attributes:
        backbone: The backbone's name.
        identity: What the features depend on.
        content_digest: Of the cache that they are from.
        dim: Number of columns.
    """

    backbone: str
    identity: Identity
    content_digest: str
    dim: int


def joined_name(sources: Sequence[FeatureSource]) -> str:
    """The backbones' names, `timm/a + open_clip/b`."""
    return " + ".join(source.backbone for source in sources)
