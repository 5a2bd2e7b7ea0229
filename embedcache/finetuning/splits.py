"""`profile`: what it costs to split a tower at each of its blocks, computed as it is trained.

The same layout in memory, precision, device and threads: a convolutional net in another
layout takes twice as long, and then the blocks that are worth training look too dear.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from embedcache.backbones.blocks import blocks
from embedcache.backbones.families import Section, sections
from embedcache.backbones.torch_backbone import exact_float32
from embedcache.finetuning.precision import autocast, training_autocast

__all__ = ["TAIL_SHARE", "Split", "profile", "tails"]

_ROWS = 32
"""Images per timed pass, as in a step: what is paid once for a step is shared by as many."""

_PASSES = 3
"""The fastest counts for each section: a busy machine once made one pass 15 times as slow."""

_FIRST = 2
"""Images of an untimed pass before the others: the first one loads what a device computes with.
That took a GPU over ten seconds, and no pilot seemed affordable there."""

_LONGEST = 10.0
"""Seconds after which fewer passes have to do."""

TAIL_SHARE = 0.15
"""Of forward and backward pass, at most, for the blocks that count as the tail: with the optimiser
and the reading of activations a step is then at least five times as fast as one of all blocks."""


@dataclass(frozen=True)
class Split:
    """What it would mean to split a tower at a block.

    Attributes:
        boundary: The block.
        shape: Of one activation, (C, H, W) or (tokens, width).
        lower: Seconds per image to compute what the block takes.
        upper: Seconds per image of a training step from the block on.
        share: `upper` of the same for the whole tower.
    """

    boundary: str
    shape: tuple[int, ...]
    lower: float
    upper: float
    share: float

    @property
    def elements(self) -> int:
        """Numbers in one activation."""
        return int(torch.Size(self.shape).numel())


def tails(splits: Sequence[Split]) -> tuple[Split, ...]:
    """Those that leave no more than `TAIL_SHARE` to be trained, at least the last."""
    found = tuple(split for split in splits if split.share <= TAIL_SHARE)
    return found or (splits[-1],)


def profile(
    tower: nn.Module, image_size: tuple[int, int], embedding: str, training: str
) -> tuple[Split, ...]:
    """Every split of a tower, timed on a few random images, in the order of the blocks.

    Args:
        tower: On its device and in its layout, in evaluation mode. Afterwards all of its
            parameters have gradients.
        image_size: (H, W) in pixels.
        embedding: Precision of extractions.
        training: Precision of the training.

    Raises:
        BackboneError: The architecture is not known.
    """
    known = sections(tower)
    tower.requires_grad_(True)
    images = torch.randn(_ROWS, 3, *image_size, generator=torch.Generator().manual_seed(0))
    device = next(tower.parameters()).device
    planes = images.to(device, memory_format=torch.channels_last)
    forward, step = [float("inf")] * len(known), [float("inf")] * len(known)
    shapes: list[tuple[int, ...]] = []
    for _ in _timed(tower, known, planes[:_FIRST], embedding, training):
        pass
    started = time.perf_counter()
    for _ in range(_PASSES):
        timed = list(_timed(tower, known, planes, embedding, training))
        shapes = [shape for shape, _, _ in timed]
        forward = [min(best, taken) for best, (_, taken, _) in zip(forward, timed, strict=True)]
        step = [min(best, taken) for best, (_, _, taken) in zip(step, timed, strict=True)]
        if time.perf_counter() - started > _LONGEST:
            break
    return tuple(
        Split(
            section.name,
            shapes[number],
            sum(forward[:number]),
            sum(step[number:]),
            sum(step[number:]) / sum(step),
        )
        for number, section in enumerate(known)
        if number
    )


def _timed(
    tower: nn.Module, known: tuple[Section, ...], planes: Tensor, embedding: str, training: str
) -> Iterator[tuple[tuple[int, ...], float, float]]:
    """Of each section: shape of its input, and seconds per image forward and of a step."""
    device = planes.device
    parameters = dict(tower.named_parameters())
    for section, block in zip(known, blocks(tower), strict=True):
        started = _now(device)
        with torch.no_grad(), exact_float32(), autocast(device, embedding):
            following = section.run(tower, planes).float()
        embedded = _now(device)
        own = [parameters[name] for name in block.parameter_names]
        inputs = planes.detach().requires_grad_(True)
        with training_autocast(device, training):
            outputs = section.run(tower, inputs).float()
        torch.autograd.grad(outputs.sum(), [inputs, *own], allow_unused=True)
        yield (
            tuple(planes.shape[1:]),
            (embedded - started) / _ROWS,
            (_now(device) - embedded) / _ROWS,
        )
        planes = following


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
