"""Measure how fast a backbone is here, in about two batches."""

from __future__ import annotations

import time

import numpy as np

from embedcache.backbones.base import Backbone
from embedcache.inputs.golden import texture

__all__ = ["measure_rate"]


def measure_rate(backbone: Backbone) -> float:
    """Images per second of the forward pass, on one batch after a warm one."""
    height, width = map(int, backbone.spec.identity.image_size.split("x"))
    batch = np.broadcast_to(
        texture(height, width), (backbone.numerics.batch_size, height, width, 3)
    ).copy()
    backbone.submit(batch).result()
    started = time.perf_counter()
    backbone.submit(batch).result()
    return len(batch) / (time.perf_counter() - started)
