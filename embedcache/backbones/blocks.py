"""The blocks of a backbone: one partition, of which `last-N` and the boundary both speak.

Where it is known how the architecture runs its blocks (`families`), they are those: each
residual or transformer block, at whose input the tower can be split. Of any other they are
told from the names of its parameters: libraries register modules in the order in which they
are used, and number what repeats, `blocks.3`, `layer2.0`, `encoder_layer_7`. Such blocks can
be frozen, but nothing can be split there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import nn

from embedcache.backbones import families
from embedcache.backbones.families import is_known, sections, shared_out

__all__ = ["STEM", "Block", "blocks", "family"]

STEM = "stem"

_NUMBERED = re.compile(r"\d+|\w+_\d+")

_STEM_CONVOLUTIONS = 8
"""A transformer has one for its patches, or a few; a ConvNeXt one in each of its blocks."""


@dataclass(frozen=True)
class Block:
    """A part of a tower that is frozen or trained as a whole.

    Attributes:
        name: Of its module; `stem` for all that comes before the first block.
        parameter_names: As in the tower's `named_parameters`.
    """

    name: str
    parameter_names: tuple[str, ...]


def blocks(tower: nn.Module) -> tuple[Block, ...]:
    """The stem and the blocks, from the input to the output; no parameter is left out.

    What comes after the last block, a convolution, norm or projection, belongs to it.
    """
    names = [name for name, _ in tower.named_parameters()]
    if not is_known(tower):
        return _numbered(names)
    known = sections(tower)
    return tuple(
        Block(section.name, tuple(own))
        for section, own in zip(known, shared_out(known, names), strict=True)
    )


def _numbered(names: list[str]) -> tuple[Block, ...]:
    """Blocks that begin at each numbered module; those within a numbered module are its parts."""
    found: dict[str, list[str]] = {STEM: []}
    for name in names:
        parts = name.split(".")[:-1]
        ends = (at for at, part in enumerate(parts) if _NUMBERED.fullmatch(part))
        end = next(ends, None)
        # What has no number comes after the block before it: a last norm, or the stem.
        block = next(reversed(found)) if end is None else ".".join(parts[: end + 1])
        found.setdefault(block, []).append(name)
    return tuple(Block(name, tuple(own)) for name, own in found.items() if own)


def family(tower: nn.Module) -> str:
    """`efficientnet`, `resnet`, `convnext` or `vit`: the one that a tower is most like."""
    if is_known(tower):
        return families.family(tower)
    kinds = list(tower.modules())
    if not any(isinstance(each, nn.modules.batchnorm._NormBase) for each in kinds):  # noqa: SLF001  # the base of all batch norms
        convolutions = sum(isinstance(each, nn.Conv2d) for each in kinds)
        return "convnext" if convolutions > _STEM_CONVOLUTIONS else "vit"
    is_depthwise = any(
        isinstance(each, nn.Conv2d) and 1 < each.groups == each.in_channels for each in kinds
    )
    return "efficientnet" if is_depthwise else "resnet"
