"""List backbones: what each one is, and whether its weights are on this machine.

D is the embedding dimension. Models are built on torch's `meta` device, without memory
or weights, and only those that are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from embedcache.backbones.architecture import Sketch
from embedcache.backbones.names import SOURCES, TUNED, parse_name, resolve
from embedcache.errors import BackboneError, MissingExtraError

__all__ = ["RECOMMENDED", "BackboneRow", "list_backbones", "search_names"]

RECOMMENDED = (
    "bundled/efficientnet_lite0",
    "bundled/efficientnet_lite2",
    "timm/resnet50.a1_in1k",
    "timm/convnext_tiny.in12k_ft_in1k",
    "timm/vit_small_patch14_dinov2.lvd142m",
    "timm/vit_base_patch14_dinov2.lvd142m",
    "timm/vit_base_patch16_siglip_224.v2_webli",
    "torchvision/resnet50:IMAGENET1K_V2",
    "torchvision/efficientnet_v2_s:IMAGENET1K_V1",
    "open_clip/ViT-B-32:laion2b_s34b_b79k",
    "open_clip/ViT-B-16:dfn2b",
    "open_clip/ViT-L-14:datacomp_xl_s13b_b90k",
)
"""A short list from small and always there to large; the field's usual first choices."""


@dataclass(frozen=True)
class BackboneRow:
    """One line of the list.

    Attributes:
        name: As `--backbone` takes it.
        dim: D.
        image_size: `HxW` in pixels.
        parameters: Number of parameters of the embedding tower.
        license: Licence of the weights, empty where unknown.
        is_local: Whether the weights are on this machine.
    """

    name: str
    dim: int
    image_size: str
    parameters: int
    license: str
    is_local: bool


def search_names(text: str = "") -> list[str]:
    """Names that contain all words of a text, in any case; the short list without a word."""
    words = text.lower().split()
    if not words:
        return list(RECOMMENDED)
    names = (name for source in (*SOURCES, TUNED) for name in resolve(source, "known_names")())
    return [name for name in names if all(word in name.lower() for word in words)]


def list_backbones(names: Iterable[str]) -> Iterator[BackboneRow]:
    """Describe backbones one by one, each in about a quarter of a second.

    Those that `load_backbone` would refuse, for preprocessing that embedcache does not
    reproduce, are left out, and models of the hub whose configuration is not here.
    """
    import torch

    for name in names:
        parsed = parse_name(name)
        try:
            sketch: Sketch = resolve(parsed.source, "sketch")(parsed)
        except (BackboneError, MissingExtraError):
            continue
        height, width = sketch.preprocessing.image_size
        with torch.no_grad():
            features = sketch.module.eval()(torch.empty(1, 3, height, width, device="meta"))
        yield BackboneRow(
            name=name,
            dim=int(features.shape[1]),
            image_size=f"{height}x{width}",
            parameters=sum(parameter.numel() for parameter in sketch.module.parameters()),
            license=sketch.license,
            is_local=resolve(parsed.source, "is_local")(parsed),
        )
