"""`Tail`: the last blocks of a backbone and a head as one module, fed with activations.

B is the number of rows, D the embedding dimension, K the number of classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from embedcache.backbones.blocks import blocks
from embedcache.backbones.splitting import run, sections_from
from embedcache.finetuning.freezing import Freezing
from embedcache.heads.forms.linear import Linear

__all__ = ["Tail", "tail_freezing"]

_MANY_CONVOLUTIONS = 8
"""From here on a model is computed channels last, as for extraction."""


class Tail(nn.Module):
    """Activations to logits.

    The whole tower stays inside, under the names that it has in a classifier of images: what
    was trained here is in its place there.

    Args:
        tower: (B, 3, H, W) to (B, D). It is taken over, not copied.
        boundary: The first block that is run.
        head: Of raw features.
    """

    def __init__(self, tower: nn.Module, boundary: str, head: Linear) -> None:
        super().__init__()
        convolutions = sum(isinstance(part, nn.Conv2d) for part in tower.modules())
        is_convolutional = convolutions >= _MANY_CONVOLUTIONS
        self._layout = torch.channels_last if is_convolutional else torch.contiguous_format
        self.tower = tower.to(memory_format=self._layout)
        self._sections = sections_from(tower, boundary)
        self.head = nn.Linear(head.dim, head.k)
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(head.weights))
            self.head.bias.copy_(torch.from_numpy(head.intercept))

    def forward(self, activations: Tensor) -> Tensor:
        """(B, …) float32, what the first block takes, to (B, K) float32."""
        features = run(self._sections, self.tower, activations.to(memory_format=self._layout))
        # bfloat16 keeps three digits: too few for logits, and the head costs next to nothing.
        with torch.autocast(activations.device.type, enabled=False):
            logits: Tensor = self.head(features.float())
        return logits


def tail_freezing(tower: nn.Module, boundary: str) -> Freezing:
    """What a `Tail` trains: the block at the boundary and all after it.

    Args:
        tower: As in `Tail`.
        boundary: As in `Tail`.
    """
    names = [block.name for block in blocks(tower)]
    return Freezing.of(tower, len(names) - names.index(boundary))
