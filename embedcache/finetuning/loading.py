"""Batches in order, made by other processes while a step runs.

Processes, not threads: torchvision's transforms draw from the one generator of their
process, so the augmentation of a row could not be a function of its step alone.
"""

from __future__ import annotations

import signal
from collections.abc import Generator
from typing import Any, Protocol

import torch

from embedcache.errors import EmbedcacheError
from embedcache.finetuning.batches import Batch

__all__ = ["stream"]

_AHEAD = 2
"""Batches that each process prepares ahead."""

_GRACE = 60
"""Seconds that a process goes on for after SIGTERM; the parent ends it sooner."""


class _Numbered(Protocol):
    """What has a batch for each number."""

    def batch(self, step: int) -> Batch:
        """The batch."""
        ...


class _Steps(torch.utils.data.Dataset[Batch | EmbedcacheError]):
    def __init__(self, batches: _Numbered) -> None:
        self._batches = batches

    def __getitem__(self, step: int) -> Batch | EmbedcacheError:
        try:
            return self._batches.batch(step)
        except EmbedcacheError as error:
            return error  # raised in a worker, it would come back as a traceback's text


def stream(batches: _Numbered, first: int, end: int, workers: int) -> Generator[Batch]:
    """The batches of steps `first` to `end` − 1, in order.

    Args:
        batches: Where they come from.
        first: The first step.
        end: One past the last.
        workers: Processes; with 0 each batch is made when it is asked for.

    Raises:
        EmbedcacheError: What `batches` raises, when that batch's turn comes.
    """
    if not workers or first >= end:
        yield from (batches.batch(step) for step in range(first, end))
        return
    options: dict[str, Any] = {
        "batch_size": None,
        "sampler": range(first, end),
        "num_workers": min(workers, end - first),
        "prefetch_factor": _AHEAD,
        "worker_init_fn": _start_worker,
        "pin_memory": torch.cuda.is_available(),
    }
    for found in torch.utils.data.DataLoader(_Steps(batches), **options):
        if isinstance(found, EmbedcacheError):
            raise found
        yield found


def _start_worker(_number: int) -> None:
    """Outlive the signals that the whole group gets: the parent wants to end its step first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(_GRACE))
