"""Which parameters a training moves: a function of the names alone, the same at every step.

A model is a sequence of blocks from the input to the output, then the head. A block is
known by the names of its parameters; one that no block names belongs to the first, which
is trained only where all are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from torch import nn

from embedcache.backbones.blocks import blocks

__all__ = ["Freezing", "freeze", "set_modes"]

_NORMS = nn.modules.batchnorm._NormBase  # noqa: SLF001  # the one base of all with statistics


@dataclass(frozen=True)
class Freezing:
    """Which parameters are trained, and how far each is from the output.

    Attributes:
        blocks: Names of the parameters, by block, from the input to the output.
        trained: Blocks that are trained, counted from the output.
        head: Prefix of the head's parameters.
    """

    blocks: tuple[tuple[str, ...], ...]
    trained: int
    head: str = "head."

    @classmethod
    def of(cls, tower: nn.Module, trained: int) -> Self:
        """Of a classifier that has the backbone as its `tower`.

        Args:
            tower: The backbone.
            trained: Of its blocks, counted from the output.
        """
        names = (block.parameter_names for block in blocks(tower))
        return cls(tuple(tuple(f"tower.{name}" for name in own) for own in names), trained)

    def depth(self, name: str) -> int:
        """Blocks between a parameter and the output: 0 in the head, 1 in the last block."""
        if name.startswith(self.head):
            return 0
        found = (number for number, names in enumerate(self.blocks) if name in names)
        return len(self.blocks) - next(found, 0)

    def is_trained(self, name: str) -> bool:
        """Whether a parameter moves."""
        return self.depth(name) <= self.trained


def freeze(model: nn.Module, freezing: Freezing) -> dict[str, nn.Parameter]:
    """Let only trained parameters have gradients, and give them by name."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(freezing.is_trained(name))
    return {name: each for name, each in model.named_parameters() if each.requires_grad}


def set_modes(model: nn.Module) -> None:
    """Put what is trained into training mode, but for norms that keep statistics.

    Frozen parts stay in evaluation mode, dropout included: what they give is what is
    cached. Frozen statistics are the only ones that a fitted head survives.
    """
    model.train()
    for module in model.modules():
        parameters = list(module.parameters())
        is_frozen = bool(parameters) and not any(each.requires_grad for each in parameters)
        if is_frozen or isinstance(module, _NORMS):
            module.eval()
