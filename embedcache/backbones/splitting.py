"""Split a backbone at a block boundary.

A tower is a sequence of sections: the stem, the residual or transformer blocks, and the end
(last norm, pooling, projection), which belongs to the last block. `families` knows how each
architecture runs them. B is the batch size, D the embedding dimension.
"""

from __future__ import annotations

from torch import Tensor, nn

from embedcache.backbones.families import Section, sections, shared_out
from embedcache.errors import BackboneError

__all__ = [
    "Part",
    "boundaries",
    "run",
    "sections_from",
    "split_at",
    "tensors_of",
]


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


def tensors_of(tower: nn.Module, boundary: str) -> dict[str, Tensor]:
    """Parameters and persistent buffers of the sections before a block, by name.

    Raises:
        BackboneError: The architecture or the block is not known.
    """
    known, state = sections(tower), tower.state_dict()
    lower = shared_out(known, state)[: _position(known, boundary)]
    return {name: state[name] for own in lower for name in own}


def _position(known: tuple[Section, ...], boundary: str) -> int:
    names = [section.name for section in known]
    if boundary not in names[1:]:
        raise BackboneError(
            "this backbone has no such block", got=boundary, expected=", ".join(names[1:])
        )
    return names.index(boundary)
