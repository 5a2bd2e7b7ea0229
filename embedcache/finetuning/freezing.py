"""Which parameters a training moves: a function of the names alone, the same at every step.

A model is a sequence of blocks from the input to the output, then the head. A block is
known by the names of its modules; a parameter that no block names belongs to the first,
which is trained only where all are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import nn

from embedcache.errors import UsageError

__all__ = ["ALL", "TAIL", "Freezing", "freeze", "set_modes", "unfrozen_blocks"]

ALL = "all"
TAIL = "tail"

_NORMS = nn.modules.batchnorm._NormBase  # noqa: SLF001  # the one base of all with statistics

_LAST = re.compile(r"last-([1-9][0-9]{0,3})")


def unfrozen_blocks(unfreeze: str, count: int, tail: int) -> int:
    """How many blocks, counted from the output, `--unfreeze` trains.

    Args:
        unfreeze: `tail`, `last-N` or `all`.
        count: Blocks of the backbone.
        tail: Blocks that the cached activations leave to train.

    Raises:
        UsageError: Another word, or more blocks than there are.
    """
    if unfreeze == ALL:
        return count
    if unfreeze == TAIL:
        return tail
    match = _LAST.fullmatch(unfreeze)
    if match is None or int(match[1]) > count:
        raise UsageError(
            "not a part of this backbone",
            got=f"--unfreeze {unfreeze}",
            expected=f"{TAIL}, last-1 to last-{count}, or {ALL}",
        )
    return int(match[1])


@dataclass(frozen=True)
class Freezing:
    """Which parameters are trained, and how far each is from the output.

    Attributes:
        blocks: Prefixes of the parameters' names, by block, from the input to the output.
        trained: Blocks that are trained, counted from the output.
        head: Prefix of the head's parameters.
    """

    blocks: tuple[tuple[str, ...], ...]
    trained: int
    head: str = "head"

    def depth(self, name: str) -> int:
        """Blocks between a parameter and the output: 0 in the head, 1 in the last block."""
        if _within(name, self.head):
            return 0
        found = [
            (len(prefix), number)
            for number, prefixes in enumerate(self.blocks)
            for prefix in prefixes
            if _within(name, prefix)
        ]
        # The longest prefix is the one that means it: `stages` and `stages.3` may both fit.
        return len(self.blocks) - max(found, default=(0, 0))[1]

    def is_trained(self, name: str) -> bool:
        """Whether a parameter moves."""
        return self.depth(name) <= self.trained


def _within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


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
