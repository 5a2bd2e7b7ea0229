"""The questions of a decision, in their order; the first yes is the verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from embedcache.decision.facts import Facts
from embedcache.decision.pilot_result import DEPTH, WHOLE, PilotResult
from embedcache.decision.record import Step
from embedcache.decision.signals import Signals
from embedcache.decision.thresholds import DETECTABLE, DUPLICATES, EASY, FEW, LABEL_ERRORS

__all__ = [
    "PILOT_NEEDED",
    "RULES",
    "Answer",
    "Rule",
    "ask",
    "needs_pilot",
    "percent",
    "takes_all",
]

PILOT_NEEDED = "PILOT_NEEDED"
"""All that can be said without a pilot, where it takes one."""


@dataclass(frozen=True)
class Answer:
    """Yes, no, or None where it cannot be asked; and why."""

    holds: bool | None
    evidence: str


@dataclass(frozen=True)
class Rule:
    """A question.

    Attributes:
        verdict: What a yes gives.
        question: In words.
        answer: From what is known.
    """

    verdict: str
    question: str
    answer: Callable[[Facts], Answer]


def percent(share: float) -> str:
    """A share in percent."""
    return f"{100 * share:.1f} %"


def _points(gain: float) -> str:
    return f"{100 * gain:+.1f}"


def _accuracy(signals: Signals) -> str:
    interval = signals.interval
    bounds = (
        "no interval: too few rows or groups"
        if interval is None
        else f"95 %: {percent(interval.low)} to {percent(interval.high)}"
    )
    return f"accuracy {percent(signals.accuracy)} ({bounds})"


def _target(facts: Facts) -> Answer:
    target, interval = facts.limits.target, facts.signals.interval
    if target is None:
        return Answer(None, "no target was given (--target)")
    holds = interval is not None and interval.low > target
    return Answer(holds, f"{_accuracy(facts.signals)}, target {percent(target)}")


def _data(facts: Facts) -> Answer:
    signals = facts.signals
    found = signals.duplicates
    doubtful = min(signals.doubtful_share, signals.contradicted_share)
    holds = doubtful >= LABEL_ERRORS.value or signals.duplicate_share > DUPLICATES.value
    text = (
        f"{signals.doubtful + signals.conflicting:,} labels in doubt "
        f"({percent(signals.doubtful_share)}), {percent(signals.contradicted_share)} against the "
        f"surest answers; {found.confirmed:,} rows of {found.rows:,} with a "
        f"confirmed near duplicate in another fold ({percent(found.confirmed / found.rows)})"
    )
    if found.copies:
        text += f", {found.copies:,} whose very image is set aside for judging"
    return Answer(holds, text)


def _head(facts: Facts) -> Answer:
    signals = facts.signals
    better = [head for head in signals.contest.heads if head.low > 0]
    reasons = []
    if signals.on_edge:
        value = ", ".join(f"{k} {v:.3g}" for k, v in signals.setting.items())
        reasons.append(f"the best setting, {value}, is at the end of its grid")
    if not signals.converged:
        reasons.append("the fits did not converge")
    if better:
        head = better[0]
        reasons.append(
            f"{head.name} is better by {_points(head.gain)} points "
            f"[{_points(head.low)}, {_points(head.high)}] on {signals.contest.rows:,} rows"
        )
    if reasons:
        return Answer(True, "; ".join(reasons))
    best = signals.contest.heads[0]
    return Answer(
        False,
        f"the grid holds its optimum, and no other head is better beyond doubt (the best, "
        f"{best.name}: {_points(best.gain)} points [{_points(best.low)}, {_points(best.high)}])",
    )


def _features(facts: Facts) -> Answer:
    found = facts.signals.elsewhere
    if not found:
        return Answer(None, "no other cache was given (--against)")
    best = max(found, key=lambda each: each.score.low)
    score = best.score
    return Answer(
        score.low > 0,
        f"{score.name}: {_points(score.gain)} points [{_points(score.low)}, "
        f"{_points(score.high)}] on {best.rows:,} common rows",
    )


def _easy(facts: Facts) -> Answer:
    signals, least = facts.signals, facts.limits.min_gain
    holds = signals.error < least and signals.most_error < EASY.value * least
    return Answer(
        holds,
        f"error {percent(signals.error)}, at most {percent(signals.most_error)}; asked: below "
        f"{percent(least)}, and below {percent(EASY.value * least)} at its upper bound",
    )


def _blind(facts: Facts) -> Answer:
    signals = facts.signals
    one = sees(signals.detectable, signals.error)
    text = f"a pilot's {signals.validation_rows:,} validation rows show {_from(signals.detectable)}"
    if takes_all(signals):
        text += f", cross-fitted all {signals.rows:,} rows {_from(signals.detectable_crossed)}"
    text += (
        f" (power 80 %, {percent(signals.changing)} of the rows changing sides); three quarters "
        f"of the error are {100 * DETECTABLE.value * signals.error:.1f} points"
    )
    holds = not one and not sees(signals.detectable_crossed, signals.error)
    if holds and signals.rows_needed is not None:
        text += f"; about {signals.rows_needed:,} training rows would do"
    return Answer(holds, text)


def takes_all(signals: Signals) -> bool:
    """Whether a pilot validates all rows in turn: they are few, or a fifth sees too little."""
    return signals.rows <= FEW.value or not sees(signals.detectable, signals.error)


def sees(least: float | None, error: float) -> bool:
    """Whether rows that show such gains and larger ones tell enough of what can be cured.

    Args:
        least: The least gain that they show; None where they show none.
        error: Share of the rows that are wrong.
    """
    return least is not None and least <= DETECTABLE.value * error


def _from(least: float | None) -> str:
    return "no gain at all" if least is None else f"gains from {100 * least:.1f} points on"


def _escalate(facts: Facts) -> Answer:
    pilot = facts.pilot
    if pilot is None:
        return Answer(None, facts.without)
    return Answer(
        pilot.gain >= facts.limits.min_gain and pilot.low > 0,
        f"frozen {percent(pilot.frozen_accuracy)}, tuned {percent(pilot.tuned_accuracy)}: "
        f"{_points(pilot.gain)} points, with 80 % confidence above {_points(pilot.low)}, on "
        f"{pilot.rows:,} rows ({pilot.only_tuned} won, {pilot.only_frozen} lost) "
        f"{_by(pilot.trainings)}in {pilot.minutes:.1f} min{_cut_short(pilot)}",
    )


def _by(trainings: int) -> str:
    return "" if trainings == 1 else f"by {trainings} trainings, each without its part, "


def _cut_short(pilot: PilotResult) -> str:
    missing = []
    if pilot.trainings < pilot.asked:
        missing.append(f"{pilot.trainings} of the {pilot.asked} trainings that such rows take")
    if pilot.steps < WHOLE * pilot.wanted:
        missing.append(f"{pilot.steps:,} of {pilot.wanted:,} steps")
    if pilot.share < DEPTH:
        missing.append(f"{percent(pilot.share)} of the network, from {pilot.boundary} on")
    return f"; the budget left it {' and '.join(missing)}" if missing else ""


_ASKS_A_PILOT = Answer(None, "only after a pilot")


def _more(facts: Facts) -> Answer:
    if facts.pilot is None:
        return _ASKS_A_PILOT
    # Labels are dearer than minutes: first the pilot has to have had its chance.
    found = facts.signals.doubling
    return Answer(
        facts.pilot.is_complete and found.low > facts.limits.min_gain,
        f"twice the data promise {_points(found.gain)} points, with 95 % confidence at least "
        f"{_points(found.low)}{_cut_short(facts.pilot)}",
    )


def _plateau(facts: Facts) -> Answer:
    if facts.pilot is None:
        return _ASKS_A_PILOT
    # A training that was cut off says little of what the whole of it would have gained.
    return Answer(
        facts.pilot.is_complete,
        f"the pilot gained {_points(facts.pilot.gain)} points; with 80 % confidence it missed no "
        f"more than {_points(facts.pilot.high)} of what training from {facts.pilot.boundary} on "
        f"gains{_cut_short(facts.pilot)}",
    )


RULES = (
    Rule("TARGET_MET", "Is the accuracy's lower bound above the target?", _target),
    Rule("FIX_DATA", "Are too many labels in doubt, or rows duplicated across sides?", _data),
    Rule("TUNE_HEAD", "Would another setting or another head do better?", _head),
    Rule("NEW_FEATURES", "Are the features of another cache better?", _features),
    Rule("STAY_FROZEN", "Is the error too small to be worth more work?", _easy),
    Rule("INCONCLUSIVE", "Are there too few rows to see a gain?", _blind),
    Rule("ESCALATE", "Did a pilot of fine-tuning gain enough?", _escalate),
    Rule("MORE_DATA", "Does twice the data promise more?", _more),
    Rule("STAY_FROZEN", "Neither: has the frozen backbone reached its plateau?", _plateau),
)
"""The order in which a decision asks."""


def needs_pilot(facts: Facts) -> bool:
    """Whether every question before the pilot is answered with no."""
    return ask(facts)[0] == PILOT_NEEDED


def ask(facts: Facts) -> tuple[str, str, tuple[Step, ...]]:
    """The verdict, its evidence, and all questions with their answers."""
    verdict, evidence = PILOT_NEEDED, ""
    steps = []
    decided = False
    for rule in RULES:
        if decided:
            steps.append(Step(rule.verdict, rule.question, "not asked", "it was decided before"))
            continue
        answer = rule.answer(facts)
        said = {True: "yes", False: "no", None: "not asked"}[answer.holds]
        steps.append(Step(rule.verdict, rule.question, said, answer.evidence))
        if answer.holds:
            verdict, evidence, decided = rule.verdict, answer.evidence, True
    if not decided:
        missing = facts.without
        if facts.pilot is not None:
            missing = f"this one gained too little{_cut_short(facts.pilot)}: "
            missing += (
                f"no pilot is worth it, as all blocks train in about {facts.pilot.whole:.0f} min, "
                "and a gate ships only what is better"
                if facts.train_instead
                else "raise --budget"
            )
        evidence = (
            f"{_accuracy(facts.signals)}; nothing cached can tell what unfreezing would gain, "
            f"a pilot would; {missing}"
        )
    return verdict, evidence, tuple(steps)
