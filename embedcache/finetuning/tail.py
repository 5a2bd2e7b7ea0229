"""`Tail`: the last blocks of a classifier and its head as one module, fed with activations.

B is the number of rows, K the number of classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from embedcache.backbones.splitting import run, sections_from
from embedcache.finetuning.classifier import Classifier

__all__ = ["Tail"]


class Tail(nn.Module):
    """Activations to logits.

    The classifier's whole tower stays inside, and its tensors are shared under the names that
    they have there: what is trained here is trained in the classifier.

    Args:
        classifier: Of images.
        boundary: The first block that is run.
    """

    def __init__(self, classifier: Classifier, boundary: str) -> None:
        super().__init__()
        self.tower, self.head = classifier.tower, classifier.head
        self._layout = classifier.layout
        self._sections = sections_from(self.tower, boundary)

    def forward(self, activations: Tensor) -> Tensor:
        """(B, …), what the first block takes, to (B, K) float32."""
        inputs = activations.to(torch.float32, memory_format=self._layout)
        features = run(self._sections, self.tower, inputs)
        # bfloat16 keeps three digits: too few for logits, and the head costs next to nothing.
        with torch.autocast(activations.device.type, enabled=False):
            logits: Tensor = self.head(features.float())
        return logits
