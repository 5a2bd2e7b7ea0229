"""Batches in order, made by other processes while a step runs.

Processes, not threads: torchvision's transforms draw from the one generator of their
process, so the augmentation of a row could not be a function of its step alone.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import torch

from embedcache.finetuning.batches import Batch, Batches

__all__ = ["stream"]

_AHEAD = 2
"""Batches that each process prepares ahead."""


class _Steps(torch.utils.data.Dataset[Batch]):
    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def __getitem__(self, step: int) -> Batch:
        return self._batches.batch(step)


def stream(batches: Batches, first: int, end: int, workers: int) -> Iterator[Batch]:
    """The batches of steps `first` to `end` − 1, in order.

    Args:
        batches: Where they come from.
        first: The first step.
        end: One past the last.
        workers: Processes; with 0 each batch is made when it is asked for.
    """
    if not workers or first >= end:
        return (batches.batch(step) for step in range(first, end))
    options: dict[str, Any] = {
        "batch_size": None,
        "sampler": range(first, end),
        "num_workers": min(workers, end - first),
        "prefetch_factor": _AHEAD,
        "worker_init_fn": _start_worker,
        "pin_memory": torch.cuda.is_available(),
    }
    return iter(torch.utils.data.DataLoader(_Steps(batches), **options))


def _start_worker(_number: int) -> None:
    """Leave ^C to the parent, which wants to save first; and end when the parent says so."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
