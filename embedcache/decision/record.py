"""`Decision`: a verdict with everything that it was made from, as it is stored."""

from __future__ import annotations

from dataclasses import dataclass

from embedcache.decision.pilot_result import PilotResult
from embedcache.decision.signals import Signals
from embedcache.decision.thresholds import Threshold

__all__ = ["FORMAT", "Decision", "Limits", "Step"]

FORMAT = 3
"""Version of `decision.json`."""


@dataclass(frozen=True)
class Limits:
    """What the person asked for.

    Attributes:
        target: Accuracy that is enough; None for none.
        min_gain: Gain of accuracy that is worth the work.
        budget: Minutes that a pilot may take.
        values: Exactly these values of the head's parameter; None for its own grid.
    """

    target: float | None
    min_gain: float
    budget: float
    values: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Step:
    """A question of the decision, in its place in the order.

    Attributes:
        verdict: What a yes gives.
        question: That is asked.
        answer: `yes`, `no`, or `not asked`.
        evidence: The figures behind the answer.
    """

    verdict: str
    question: str
    answer: str
    evidence: str


@dataclass(frozen=True)
class Decision:
    """What to do next, and why.

    Attributes:
        format: Version of this record.
        dataset: Name of the data set.
        backbone: Name of the backbone.
        identity: Digest of the backbone's identity, hexadecimal.
        content_digest: Of the cache.
        cache: File of the cache.
        seed: Of folds and bootstrap.
        verdict: One of `verdict.VERDICTS`.
        evidence: Why, in words.
        command: What to type next.
        limits: What was asked for.
        steps: All questions in their order.
        thresholds: All constants, with their sources.
        signals: What was measured.
        pilot: What the pilot found; None where there was none.
        warnings: What makes the figures suspicious.
        uninformative: What was looked at and says nothing here, with the reason.
        reason: How the training rows were told from those set aside.
    """

    format: int
    dataset: str
    backbone: str
    identity: str
    content_digest: str
    cache: str
    seed: int
    verdict: str
    evidence: str
    command: str
    limits: Limits
    steps: tuple[Step, ...]
    thresholds: tuple[Threshold, ...]
    signals: Signals
    pilot: PilotResult | None
    warnings: tuple[str, ...]
    uninformative: tuple[str, ...]
    reason: str
