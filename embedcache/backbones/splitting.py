"""Split a backbone at a block boundary, and say what its blocks are.

A tower is a sequence of sections: the stem, the residual or transformer blocks, and the end
(last norm, pooling, projection), which belongs to the last block. `families` knows how each
architecture runs them. B is the batch size, D the embedding dimension.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor, nn

from embedcache.backbones.families import Section, sections
from embedcache.errors import BackboneError

__all__ = [
    "Block",
    "Part",
    "blocks",
    "boundaries",
    "run",
    "sections_from",
    "split_at",
    "tensors_of",
]


@dataclass(frozen=True)
class Block:
    """A part of a tower that is frozen or trained as a whole.

    Attributes:
        name: Of its module; `stem` for all that comes before the first block.
        parameter_names: As in the tower's `named_parameters`.
    """

    name: str
    parameter_names: tuple[str, ...]


class Part(nn.Module):
    """Some consecutive sections of a tower, whose tensors it shares.

    The whole tower stays inside: a tensor keeps its name in it, and is the same tensor in
    the lower part, the upper part and the tower.
    """

    def __init__(self, tower: nn.Module, parts: tuple[Section, ...]) -> None:
        super().__init__()
        self.tower = tower
        self._sections = parts

    def forward(self, inputs: Tensor) -> Tensor:
        """What the last of the sections gives for what the first one takes."""
        return run(self._sections, self.tower, inputs)


def run(steps: tuple[Section, ...], tower: nn.Module, inputs: Tensor) -> Tensor:
    """What the last of some consecutive sections gives for what the first one takes."""
    for step in steps:
        inputs = step.run(tower, inputs)
    return inputs


def sections_from(tower: nn.Module, boundary: str) -> tuple[Section, ...]:
    """A block's section and all after it.

    Raises:
        BackboneError: The architecture or the block is not known.
    """
    known = sections(tower)
    return known[_position(known, boundary) :]


def boundaries(tower: nn.Module) -> tuple[str, ...]:
    """Names of the blocks in order, at whose inputs a tower can be split.

    Raises:
        BackboneError: The architecture is not known.
    """
    return tuple(section.name for section in sections(tower)[1:])


def split_at(tower: nn.Module, boundary: str) -> tuple[Part, Part]:
    """The sections before a block, and the block with all that follows.

    Args:
        tower: (B, 3, H, W) float32 to (B, D).
        boundary: One of `boundaries`.

    Returns:
        The lower part, which gives (B, …) float32, and the upper part, which takes it and
        gives (B, D). One after the other they compute what the tower computes, bit by bit.

    Raises:
        BackboneError: The architecture or the block is not known.
    """
    known = sections(tower)
    position = _position(known, boundary)
    return Part(tower, known[:position]), Part(tower, known[position:])


def blocks(tower: nn.Module) -> tuple[Block, ...]:
    """The stem and the blocks in order, with the names of their parameters; none is left out.

    Raises:
        BackboneError: The architecture is not known.
    """
    known = sections(tower)
    names = [name for name, _ in tower.named_parameters()]
    return tuple(
        Block(section.name, tuple(own))
        for section, own in zip(known, _shared_out(known, names), strict=True)
    )


def tensors_of(tower: nn.Module, boundary: str) -> dict[str, Tensor]:
    """Parameters and persistent buffers of the sections before a block, by name.

    Raises:
        BackboneError: The architecture or the block is not known.
    """
    known, state = sections(tower), tower.state_dict()
    lower = _shared_out(known, state)[: _position(known, boundary)]
    return {name: state[name] for own in lower for name in own}


def _position(known: tuple[Section, ...], boundary: str) -> int:
    names = [section.name for section in known]
    if boundary not in names[1:]:
        raise BackboneError(
            "this backbone has no such block", got=boundary, expected=", ".join(names[1:])
        )
    return names.index(boundary)


def _shared_out(known: tuple[Section, ...], names: Iterable[str]) -> list[list[str]]:
    """The names of each section; what no section claims, as an embedding of positions, is stem."""
    shares: list[list[str]] = [[] for _ in known]
    for name in names:
        owner = next(
            (
                number
                for number, section in enumerate(known)
                if any(name == prefix or name.startswith(f"{prefix}.") for prefix in section.owns)
            ),
            0,
        )
        shares[owner].append(name)
    return shares
