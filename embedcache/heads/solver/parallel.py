"""`Workers`: one thread per core, each with its own share of the work.

Matrix products of a few hundred rows spend more time waiting for each other's
threads than computing when the cores are shared: 16,384 × 768 features and 100
columns took 329 ms with two threads inside every product and 175 ms with two
threads that each take every other block; a 10 × 64 product stalled for 80 ms.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

import torch

from embedcache.errors import OutOfMemoryError

__all__ = ["Workers", "summed"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers:
    """A context in which a torch operation uses one thread, and `share` uses them all.

    Args:
        device: Where the work is done; an accelerator needs no threads.

    Raises:
        OutOfMemoryError: On leaving, where the device's memory did not suffice.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._count = 1
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        self._before = torch.get_num_threads()
        if self.device.type == "cpu":
            self._count = self._before
            torch.set_num_threads(1)
            self._pool = ThreadPoolExecutor(
                self._count, initializer=torch.set_num_threads, initargs=(1,)
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            torch.set_num_threads(self._before)
        if isinstance(error, torch.OutOfMemoryError):
            raise OutOfMemoryError(
                "the device cannot hold the features and what the solver needs beside them",
                got=f"out of memory on {self.device}",
                hint="fit on the CPU: --device cpu",
            ) from error

    def share(self, work: Callable[[list[Item]], Result], items: list[Item]) -> list[Result]:
        """What `work` returns for each share of the items, always in the same order.

        The shares depend on the number of items and of torch's threads only, so that equal
        inputs give bit-equal sums.
        """
        shares = [items[at :: self._count] for at in range(min(self._count, len(items)))]
        if self._pool is None or len(shares) < 2:
            return [work(items)]
        return list(self._pool.map(work, shares))


def summed(parts: list[tuple[torch.Tensor, ...]]) -> tuple[torch.Tensor, ...]:
    """The sum of each of several tensors over all shares."""
    if len(parts) == 1:
        return parts[0]
    return tuple(torch.stack(part).sum(0) for part in zip(*parts, strict=True))
