"""A decision for tests of what shows it, without measuring anything."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from embedcache.decision.facts import Facts
from embedcache.decision.pilot_result import PilotResult
from embedcache.decision.record import FORMAT, Decision, Limits
from embedcache.decision.signals import (
    Contest,
    CurvePoint,
    Doubt,
    Duplicates,
    HeadScore,
    Shortcut,
    Signals,
)
from embedcache.decision.thresholds import THRESHOLDS
from embedcache.decision.verdict import ask
from embedcache.evaluation.intervals import Interval
from embedcache.evaluation.learning_curve import Doubling

__all__ = ["decision", "pilot", "signals"]


def signals(**changes: Any) -> Signals:
    """Of a set on which a pilot would tell; `changes` replaces any field."""
    accuracy = (0.8, 0.82, 0.84, 0.85)
    made = Signals(
        rows=2_000,
        aside=500,
        classes=2,
        dim=64,
        majority=0.6,
        model="logreg",
        setting={"C": 0.01},
        chosen_on=2_000,
        on_edge=False,
        converged=True,
        accuracy=0.85,
        interval=Interval(0.834, 0.865),
        doubtful=80,
        surest_error=0.02,
        conflicting=0,
        doubts=(Doubt("a.png", 3, "cat", "dog", 0.9),),
        duplicates=Duplicates(2_000, 2, 0, True, 0),
        contest=Contest(2_000, 0.85, (HeadScore("knn", 0.83, -0.02, -0.04, 0.0),), ("mlp: slow",)),
        elsewhere=(),
        discordance=0.06,
        changing=0.06,
        validation_rows=400,
        detectable=0.036,
        detectable_crossed=0.016,
        rows_needed=150,
        curve=tuple(
            CurvePoint(200 * 2**at, each, Interval(each - 0.02, each + 0.02))
            for at, each in enumerate(accuracy)
        ),
        doubling=Doubling(0.008, 0.002),
        train_accuracy=0.92,
        shortcut=Shortcut(5, "cat", 0.8),
    )
    return replace(made, **changes)


def pilot(gain: float, low: float) -> PilotResult:
    """What a pilot found on 400 rows."""
    scores, bounds, won_lost = (0.85, 0.85 + gain, gain), (low, gain + 0.02), (20, 8)
    return PilotResult(
        400, 1, 1, *scores, *bounds, *won_lost, 2.0, "blocks.5", 0.6, 2, 500, 500, 40.0
    )


def decision(found: Signals, result: PilotResult | None = None, **changes: Any) -> Decision:
    """Of such signals; `changes` replaces any field."""
    limits = Limits(None, 0.01, 10.0)
    verdict, evidence, steps = ask(Facts(found, limits, result))
    made = Decision(
        format=FORMAT,
        dataset="pets-12345678",
        backbone="fake/mean",
        identity="1" * 64,
        content_digest="2" * 64,
        cache="cache/pets.h5",
        seed=0,
        verdict=verdict,
        evidence=evidence,
        command="embedcache finetune cache/pets.h5",
        limits=limits,
        steps=steps,
        thresholds=THRESHOLDS,
        signals=found,
        pilot=result,
        warnings=(),
        uninformative=("knn is -2.0 points from logreg",),
        reason="the source sets 500 test rows aside",
    )
    return replace(made, **changes)
