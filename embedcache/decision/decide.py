"""`decide_on`: from training rows to a verdict; the pilot is a function that is given.

N is the number of training rows.
"""

from __future__ import annotations

import math
import shlex
from dataclasses import replace

import numpy as np

from embedcache.decision.divisions import divisions
from embedcache.decision.facts import Facts
from embedcache.decision.measure import Asked, Measured, measure
from embedcache.decision.pilot_result import Pilot, PilotResult, PilotTask
from embedcache.decision.record import FORMAT, Decision, Limits
from embedcache.decision.signals import OtherFeatures, Signals
from embedcache.decision.thresholds import FEWEST_TRAININGS, SHORTCUT, THRESHOLDS
from embedcache.decision.training_rows import TrainingRows
from embedcache.decision.verdict import ask, needs_pilot, takes_all
from embedcache.errors import (
    CacheError,
    DivergedError,
    OutOfMemoryError,
    RejectedInputsError,
    UsageError,
)
from embedcache.evaluation.splits import FOLDS
from embedcache.heads.near_duplicates import Picture
from embedcache.heads.problem import Problem

__all__ = ["decide_on"]

_NO_PILOT = (CacheError, DivergedError, OutOfMemoryError, RejectedInputsError, UsageError)
"""Images that are gone or changed, a backbone that cannot be split, a budget that is too small."""

_CROSSED = tuple(range(FOLDS, int(FEWEST_TRAININGS.value) - 1, -1))
"""Trainings of a pilot that validates all rows: as many as `fit-head` has folds, or fewer."""


def decide_on(
    problem: Problem,
    rows: TrainingRows,
    asked: Asked,
    limits: Limits,
    picture: Picture,
    *,
    cache: str,
    origin: str,
    pilot: Pilot | None = None,
    elsewhere: tuple[OtherFeatures, ...] = (),
) -> Decision:
    """Ask every question in its order, the pilot only where the answers so far call for it.

    Args:
        problem: Of the cache.
        rows: Its N training rows.
        asked: Which head is decided about.
        limits: What the person asked for.
        picture: Of a row of the cache.
        cache: File of the cache, for the next command.
        origin: What it was extracted from, likewise.
        pilot: Runs a pilot; None to do without.
        elsewhere: What other caches gave.
    """
    measured = measure(rows, asked, problem.ids, picture, elsewhere)
    signals = measured.signals
    facts = Facts(signals, limits)
    if pilot is not None and needs_pilot(facts):
        asked.told("pilot")
        facts = _with_pilot(facts, pilot, _task(rows, measured, limits, picture))
    result = facts.pilot
    verdict, evidence, steps = ask(facts)
    source = problem.sources[0]
    return Decision(
        FORMAT,
        problem.dataset,
        problem.backbone,
        source.identity.digest,
        source.content_digest,
        cache,
        rows.training.seed,
        verdict,
        evidence,
        _command(verdict, facts, asked, cache, origin),
        limits,
        steps,
        THRESHOLDS,
        signals,
        result,
        _warnings(signals, rows),
        _uninformative(signals, result),
        rows.reason,
    )


def _with_pilot(facts: Facts, pilot: Pilot, task: PilotTask) -> Facts:
    """With what the pilot found, or with why it found nothing: there is a verdict all the same."""
    try:
        return replace(facts, pilot=pilot(task))
    except _NO_PILOT as error:
        details = [
            f"{name} {value}"
            for name, value in (("got", error.got), ("expected", error.expected))
            if value is not None
        ]
        more = f" ({', '.join(details)})" if details else ""
        return replace(facts, without=f"the pilot found nothing: {error.what}{more}")


def _task(rows: TrainingRows, measured: Measured, limits: Limits, picture: Picture) -> PilotTask:
    """One part of the rows validates where that suffices, else each in turn."""
    crossed = _CROSSED if takes_all(measured.signals) else ()
    return PilotTask(
        rows.row,
        rows.labels.astype(np.int32),
        rows.group,
        rows.classes,
        measured.c,
        (*crossed, 1),
        divisions(rows, measured, picture),
        limits.budget,
        rows.training.seed,
    )


def _command(verdict: str, facts: Facts, asked: Asked, cache: str, origin: str) -> str:
    path, signals = shlex.quote(cache), facts.signals
    match verdict:
        case "FIX_DATA" | "INCONCLUSIVE" | "MORE_DATA":
            return f"embedcache extract {shlex.quote(origin)}"
        case "TUNE_HEAD":
            better = [head.name for head in signals.contest.heads if head.low > 0]
            model = better[0] if better else asked.model if asked.values else "auto"
            return f"embedcache fit-head {path} --model {model}"
        case "NEW_FEATURES":
            best = max(signals.elsewhere, key=lambda each: each.score.low)
            return f"embedcache fit-head {shlex.quote(best.cache)}"
        case "ESCALATE":
            return f"embedcache finetune {path}"
        case "PILOT_NEEDED" if facts.train_instead:
            return f"embedcache finetune {path} --unfreeze all --force"
        case "PILOT_NEEDED" if facts.pilot is not None:
            return f"embedcache decide {path} --budget {math.ceil(facts.complete_pilot)}"
        case "PILOT_NEEDED":
            return f"embedcache decide {path}"
        case _:
            return f"embedcache fit-head {path} --model {asked.model}"


def _warnings(signals: Signals, rows: TrainingRows) -> tuple[str, ...]:
    found = []
    if rows.touched:
        found.append(
            f"{rows.touched:,} rows that the backbone was tuned with are left out: it knows them, "
            "so they say nothing of others"
        )
    if signals.shortcut is not None and signals.shortcut.auroc >= SHORTCUT.value:
        found.append(
            f"feature {signals.shortcut.feature} alone tells {signals.shortcut.name!r} from the "
            f"rest (AUROC {signals.shortcut.auroc:.4f}): is the label in the features, or in the "
            "picture, as a mark, a border, a file of another kind?"
        )
    if signals.accuracy == 1:
        found.append(
            f"not one of {signals.rows:,} rows is wrong out of fold: real data are rarely so "
            "clean; look for copies and for a label that leaked"
        )
    if not signals.duplicates.is_complete:
        found.append("near duplicates are so many that not all pairs were looked at")
    if signals.duplicates.unconfirmed:
        found.append(
            f"{signals.duplicates.unconfirmed:,} rows may have near duplicates, but the pictures "
            "are not there to confirm it: they don't count"
        )
    return tuple(found)


def _uninformative(signals: Signals, pilot: PilotResult | None) -> tuple[str, ...]:
    """What is shown without a threshold, because it did not predict what fine-tuning gains."""
    fitted = f"accuracy on fitted rows, {100 * signals.train_accuracy:.1f} %"
    found = [f"{fitted}: high wherever it was looked at, whether fine-tuning gained 6 points or 0"]
    knn = [head for head in signals.contest.heads if head.name == "knn"]
    if knn:
        found.append(
            f"knn is {100 * knn[0].gain:+.1f} points from {signals.model}: how the classes lie "
            "among the features, not what other features could do"
        )
    if pilot is None:
        found.append(
            "the learning curve: it asked for more data on every set that was looked at, also "
            "where fine-tuning gained more"
        )
    if not any(head.low > 0 for head in signals.contest.heads):
        found.append(
            f"{len(signals.contest.heads)} other heads: none differs for the better beyond doubt"
        )
    return tuple(found)
