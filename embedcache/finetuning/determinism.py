"""Has a training on a GPU give the same bits every time, as a resumed one must."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch

__all__ = ["deterministic"]

_WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
"""What PyTorch asks for: https://docs.pytorch.org/docs/stable/notes/randomness.html"""


@contextlib.contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Choose algorithms that repeat themselves; CPUs do without being asked.

    *Seen* on an H200 with torch 2.11, two trainings of 20 steps: without this the float32
    weights of EfficientNet-Lite0 ended up to 8e-3 apart and those of a ViT up to 2e-4; with it
    none did, and a step of a convolutional net took 1.3 to 1.5 times as long. An operation
    that cannot repeat itself warns, and the training goes on.
    """
    if device.type != "cuda":
        yield
        return
    was_on = torch.are_deterministic_algorithms_enabled()
    warned_only = torch.is_deterministic_algorithms_warn_only_enabled()
    os.environ.setdefault(*_WORKSPACE)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was_on, warn_only=warned_only)
