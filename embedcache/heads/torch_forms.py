"""Head forms as torch modules in float32, for graphs that hold backbone and head.

N is the number of rows, D the embedding dimension, K the number of classes, M the number
of stored rows or landmarks, k the number of neighbours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from embedcache.heads.forms.cosine import Cosine
from embedcache.heads.forms.form import Form
from embedcache.heads.forms.landmarks import Landmarks
from embedcache.heads.forms.layers import Layers
from embedcache.heads.forms.linear import Linear
from embedcache.heads.forms.neighbours import Neighbours

__all__ = ["torch_form"]


def torch_form(form: Form) -> nn.Module:
    """The same function of features, (N, D) to logits (N, K), but for float32 rounding.

    Raises:
        NotImplementedError: A form that has no graph.
    """
    match form:
        case Linear():
            return _linear(form)
        case Layers():
            return nn.Sequential(_linear(form.hidden), nn.ReLU(), _linear(form.output))
        case Landmarks():
            return _Landmarks(form)
        case Cosine():
            return _Cosine(form)
        case Neighbours():
            return _Neighbours(form)
    raise NotImplementedError(type(form).__name__)


def _linear(form: Linear) -> nn.Module:
    k, dim = form.weights.shape
    layer = nn.Linear(dim, k)
    with torch.no_grad():
        layer.weight.copy_(_float32(form.weights))
        layer.bias.copy_(_float32(form.intercept))
    return layer


def _float32(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))


def _unit(rows: Tensor) -> Tensor:
    """Rows of length 1; a row of zeros stays."""
    length = rows.square().sum(dim=1, keepdim=True).sqrt()
    return rows / torch.where(length > 0, length, 1.0)


class _Landmarks(nn.Module):
    mean: Tensor
    scale: Tensor
    landmarks: Tensor

    def __init__(self, form: Landmarks) -> None:
        super().__init__()
        self.register_buffer("mean", _float32(form.mean))
        self.register_buffer("scale", _float32(form.scale))
        self.register_buffer("landmarks", _float32(form.landmarks))
        self.gamma = float(form.gamma[0])
        self.linear = _linear(form.linear)

    def forward(self, features: Tensor) -> Tensor:
        rows = (features - self.mean) / self.scale
        # ‖z‖² + ‖l‖² − 2 z·l: the differences themselves would be N × M × D numbers.
        square = (
            rows.square().sum(dim=1, keepdim=True)
            + self.landmarks.square().sum(dim=1)
            - 2 * rows @ self.landmarks.T
        )
        logits: Tensor = self.linear(torch.exp(-self.gamma * square.clamp(min=0)))
        return logits


class _Cosine(nn.Module):
    def __init__(self, form: Cosine) -> None:
        super().__init__()
        self.linear = _linear(form.linear)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.linear(_unit(features))
        return logits


class _Neighbours(nn.Module):
    """Exact but for float32: of two stored rows nearer than its rounding, either may vote."""

    rows: Tensor
    votes: Tensor
    share: Tensor

    def __init__(self, form: Neighbours) -> None:
        super().__init__()
        self.register_buffer("rows", torch.from_numpy(form.rows.copy()))
        self.register_buffer("votes", torch.eye(form.k)[torch.from_numpy(form.labels).long()])
        self.register_buffer("share", _float32(np.bincount(form.labels) / len(form.labels)))
        self.k = int(form.neighbours[0])
        self.vote_temperature = float(form.vote_temperature[0])
        self.temperature = float(form.temperature[0])

    def forward(self, features: Tensor) -> Tensor:
        near = _unit(features) @ self.rows.float().T
        similarity, index = near.topk(self.k, dim=1)
        weight = torch.exp((similarity - similarity[:, :1]) / self.vote_temperature)
        total = (weight[:, :, None] * self.votes[index]).sum(dim=1) + self.share
        share: Tensor = total / total.sum(dim=1, keepdim=True)
        return torch.log(share) / self.temperature
