"""`Classifier`: preprocessing's last part, backbone and head as one module.

B is the number of images, H × W the input size in pixels, D the embedding dimension, K
the number of classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from embedcache.backbones.torch_backbone import layout_of
from embedcache.heads.forms.linear import Linear
from embedcache.inputs.preprocess import Preprocessing

__all__ = ["Classifier"]


class Classifier(nn.Module):
    """Pixels to logits.

    Args:
        tower: (B, 3, H, W) float32, normalised, to (B, D). It is taken over, not copied.
        preprocessing: Mean and standard deviation.
        head: Of raw features.

    Attributes:
        layout: Of its tensors in memory, as for extraction.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, tower: nn.Module, preprocessing: Preprocessing, head: Linear) -> None:
        super().__init__()
        self.layout = layout_of(tower)
        self.tower = tower.to(memory_format=self.layout)
        self.head = nn.Linear(head.dim, head.k)
        for name in ("mean", "std"):
            values = torch.tensor(getattr(preprocessing, name)).reshape(3, 1, 1)
            self.register_buffer(name, values, persistent=False)
        self.set_head(head)

    def set_head(self, head: Linear) -> None:
        """Put a fitted head in place, rounded to float32."""
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(head.weights))
            self.head.bias.copy_(torch.from_numpy(head.intercept))

    def cool(self, temperature: float) -> None:
        """Divide all logits by a temperature."""
        with torch.no_grad():
            self.head.weight.div_(temperature)
            self.head.bias.div_(temperature)

    def linear(self) -> Linear:
        """The head as it is now, in numpy."""
        weights = self.head.weight.detach().cpu().double().numpy()
        return Linear(weights, self.head.bias.detach().cpu().double().numpy())

    def planes(self, pixels: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 to (B, 3, H, W) float32, normalised."""
        planes = pixels.permute(0, 3, 1, 2)  # in memory still channels last
        if self.layout != torch.channels_last:
            planes = planes.contiguous()
        return planes.float().div_(255).sub_(self.mean).div_(self.std)

    def features(self, pixels: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 to (B, D)."""
        features: Tensor = self.tower(self.planes(pixels))
        return features

    def logits(self, features: Tensor) -> Tensor:
        """(B, D) to (B, K) float32."""
        # bfloat16 keeps three digits: too few for logits, and the head costs next to nothing.
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.head(features.float())
        return logits

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 to (B, K) float32."""
        return self.logits(self.features(pixels))
