"""Log-loss and accuracy of a model on held-out images, in the head's own precision.

V is the number of images, K of classes.
"""

from __future__ import annotations

import contextlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from embedcache.backbones.torch_backbone import exact_float32
from embedcache.finetuning.images import InOrder
from embedcache.finetuning.loading import stream
from embedcache.finetuning.precision import autocast
from embedcache.heads.logreg import softmax

__all__ = ["logits_of", "row_losses", "score"]


def logits_of(model: nn.Module, rows: InOrder, precision: str, workers: int) -> NDArray[np.float32]:
    """(V, K) logits of a model in evaluation mode."""
    device = next(model.parameters()).device
    parts = []
    with (
        torch.inference_mode(),
        contextlib.closing(stream(rows, 0, rows.count, workers)) as batches,
        exact_float32(),
    ):
        for batch in batches:
            with autocast(device, precision):
                parts.append(model(batch.inputs.to(device, non_blocking=True)).float().cpu())
    return torch.cat(parts).numpy()


def score(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[float, float]:
    """Mean log-loss and accuracy."""
    return float(row_losses(logits, labels).mean()), float((logits.argmax(1) == labels).mean())


def row_losses(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Log-loss of each row, (V,); at most 708, also where a logit is no number."""
    own = softmax(logits)[np.arange(len(labels)), labels]
    losses: NDArray[np.float64] = -np.log(np.fmax(own, np.finfo(np.float64).tiny))
    return losses
