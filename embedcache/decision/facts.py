"""`Facts`: what is known when a decision asks its questions."""

from __future__ import annotations

from dataclasses import dataclass

from embedcache.decision.pilot_result import PilotResult
from embedcache.decision.record import Limits
from embedcache.decision.signals import Signals

__all__ = ["Facts"]


@dataclass(frozen=True)
class Facts:
    """What is known when a question is asked.

    Attributes:
        signals: From the cache.
        limits: What the person asked for.
        pilot: What a pilot found, if there was one.
        without: Else, why there was none.
    """

    signals: Signals
    limits: Limits
    pilot: PilotResult | None = None
    without: str = "no pilot has run"

    @property
    def complete_pilot(self) -> float:
        """Minutes for a pilot that lacks nothing; those of this one where there was none."""
        return self.limits.budget * (self.pilot.missing if self.pilot else 1)

    @property
    def train_instead(self) -> bool:
        """Whether fine-tuning all blocks takes no more minutes than a pilot that lacks nothing."""
        return self.pilot is not None and self.pilot.whole <= self.complete_pilot
