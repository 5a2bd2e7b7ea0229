"""A backbone as a sequence of blocks, told from the names of its parameters.

Libraries register modules in the order in which they are used, and number what repeats:
`blocks.3`, `layer2.0`, `features.5`, `encoder_layer_7`.
"""

from __future__ import annotations

import re

from torch import nn

__all__ = ["block_names", "family"]

_NUMBERED = re.compile(r"\d+|\w+_\d+")


def block_names(module: nn.Module) -> tuple[tuple[str, ...], ...]:
    """Prefixes of the names of each block's parameters, from the input to the output.

    What comes before the first numbered module is a block of its own, the stem; what
    comes after one, a last convolution or norm, belongs to it.
    """
    blocks: list[list[str]] = [[]]
    for name, _ in module.named_parameters():
        parts = name.split(".")[:-1]
        numbered = (at for at, part in enumerate(parts) if _NUMBERED.fullmatch(part))
        end = next(numbered, None)
        prefix = name if end is None else ".".join(parts[: end + 1])
        if end is not None and prefix not in blocks[-1]:
            blocks.append([prefix])
        elif end is None:
            blocks[-1].append(prefix)
    return tuple(tuple(block) for block in blocks if block)


def family(module: nn.Module) -> str:
    """The key of `recipe.RECIPES` for a backbone, from what it is built of."""
    kinds = list(module.modules())
    if not any(isinstance(each, nn.modules.batchnorm._NormBase) for each in kinds):  # noqa: SLF001  # the base of all batch norms
        convolutions = sum(isinstance(each, nn.Conv2d) for each in kinds)
        return "convnext" if convolutions > _STEM_CONVOLUTIONS else "vit"
    is_depthwise = any(
        isinstance(each, nn.Conv2d) and 1 < each.groups == each.in_channels for each in kinds
    )
    return "efficientnet" if is_depthwise else "resnet"


_STEM_CONVOLUTIONS = 8
"""A transformer has one for its patches, or a few; a ConvNeXt one in each of its blocks."""
