"""What a training has seen so far: its loss, and how good it was on held-out rows."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Judged", "Loss", "Progress"]


@dataclass(frozen=True)
class Loss:
    """Mean training loss of the steps since the last entry.

    Attributes:
        step: Steps taken.
        loss: With label smoothing and weights.
    """

    step: int
    loss: float


@dataclass(frozen=True)
class Judged:
    """The model on the validation rows.

    Attributes:
        step: Steps taken.
        log_loss: Mean, without label smoothing and weights.
        accuracy: Share of the rows.
    """

    step: int
    log_loss: float
    accuracy: float


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes:
        step: Steps taken.
        micro_batch: Rows at once that were last known to fit into memory.
        seconds: Spent, in all runs that led here.
        losses: About 50 in a whole training.
        judged: Before the first step, at each quarter, and at the end.
    """

    step: int
    micro_batch: int
    seconds: float
    losses: tuple[Loss, ...]
    judged: tuple[Judged, ...]
