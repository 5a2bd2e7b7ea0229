"""`Batches`: training rows as a pure function of the step, whatever they are made of.

N is the number of training rows, B of rows in a batch, K the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

__all__ = ["Batch", "Batches", "steps_per_epoch"]


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows for one step, on the CPU.

    Attributes:
        inputs: (B, …) what the model takes: uint8 pixels, or activations.
        labels: (B,) int64, 0 to K − 1.
        weights: (B,) float32, each row's share in the loss.
    """

    inputs: Tensor
    labels: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.labels)


class Batches(Protocol):
    """Training rows in batches. It may be copied to other processes, so it has to pickle."""

    @property
    def rows(self) -> int:
        """N."""
        ...

    @property
    def batch_size(self) -> int:
        """B, of every batch: none is smaller."""
        ...

    def batch(self, step: int) -> Batch:
        """The rows of a step, from 0 on.

        It depends on nothing but the step: not on earlier calls, not on the state of a
        random generator, nor does it change one. That is why a resumed run needs no
        state of a sampler.
        """
        ...


def steps_per_epoch(batches: Batches) -> float:
    """Steps in which every row comes once, on average."""
    return batches.rows / batches.batch_size
