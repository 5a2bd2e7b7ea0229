"""`decide_text`: a decision as text for 80 cells, the verdict first."""

from __future__ import annotations

import textwrap

from embedcache.decision.record import Decision
from embedcache.reports.columns import columns
from embedcache.reports.escape import printable

__all__ = ["MEANING", "decide_text"]

MEANING = {
    "TARGET_MET": "the frozen features are good enough: ship this head",
    "FIX_DATA": "correct the data first: everything else would learn their errors",
    "TUNE_HEAD": "a better head on the same features comes first",
    "NEW_FEATURES": "the other cache's features are better",
    "STAY_FROZEN": "keep the frozen backbone: more work would hardly pay",
    "INCONCLUSIVE": "there are too few rows to tell",
    "ESCALATE": "fine-tuning pays: the pilot gained enough",
    "MORE_DATA": "label more images: they promise more than fine-tuning did",
    "PILOT_NEEDED": "a pilot would tell whether fine-tuning pays",
}
"""Every verdict in words."""


def decide_text(decision: Decision, width: int = 80) -> str:
    """The verdict, its evidence, all questions in their order, and the context.

    Args:
        decision: What was decided.
        width: Cells in a line.
    """
    sections = [
        _wrapped(f"{decision.verdict}: {MEANING[decision.verdict]}", width),
        _wrapped(decision.evidence, width),
        [line for text in decision.warnings for line in _wrapped(f"suspicious: {text}", width)],
        _steps(decision, width),
        _curve(decision, width),
        _uninformative(decision, width),
        _about(decision, width),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _wrapped(text: str, width: int, indent: str = "  ") -> list[str]:
    return textwrap.wrap(printable(text), width, subsequent_indent=indent, break_on_hyphens=False)


def _steps(decision: Decision, width: int) -> list[str]:
    lines = ["asked in this order, the first yes decides:"]
    for number, step in enumerate(decision.steps, start=1):
        lines += _wrapped(f"{number}. {step.question} {step.answer} → {step.verdict}", width, "   ")
        if step.evidence != "it was decided before":
            lines += textwrap.wrap(
                printable(step.evidence),
                width,
                initial_indent="   ",
                subsequent_indent="   ",
                break_on_hyphens=False,
            )
    return lines


def _curve(decision: Decision, width: int) -> list[str]:
    signals = decision.signals
    table = [["rows fitted", "accuracy", "95 %"]]
    table += [
        [
            f"{point.rows:,}",
            f"{100 * point.accuracy:.1f} %",
            "[–]"
            if point.interval is None
            else f"[{100 * point.interval.low:.1f}, {100 * point.interval.high:.1f}]",
        ]
        for point in signals.curve
    ]
    promise = (
        f"twice the data promise {100 * signals.doubling.gain:+.1f} points, with 95 % confidence "
        f"at least {100 * signals.doubling.low:+.1f}"
    )
    return ["learning curve, out of fold:", *columns(table, ">><"), *_wrapped(promise, width)]


def _uninformative(decision: Decision, width: int) -> list[str]:
    lines = ["looked at, and no guide here:"]
    for text in decision.uninformative:
        lines += _wrapped(f"- {text}", width)
    return lines


def _about(decision: Decision, width: int) -> list[str]:
    signals = decision.signals
    setting = ", ".join(f"{name} {value:.3g}" for name, value in signals.setting.items())
    text = (
        f"{signals.model} ({setting or 'no parameter'}) on {decision.dataset} with "
        f"{decision.backbone}: {signals.rows:,} training rows, {signals.classes} classes, "
        f"{signals.dim} features; setting and heads on {signals.chosen_on:,} of them. "
        f"{signals.aside:,} rows set aside for judging were not read ({decision.reason})."
    )
    return _wrapped(text, width, "")
