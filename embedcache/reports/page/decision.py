"""`decision_page`: a decision as one HTML file, like the report of a fit."""

from __future__ import annotations

from collections.abc import Callable

from embedcache.decision.record import Decision
from embedcache.decision.signals import Doubt
from embedcache.decision.thresholds import LEVEL
from embedcache.decision.verdict import sees
from embedcache.evaluation.power import mcnemar_power
from embedcache.reports.decide_text import MEANING
from embedcache.reports.page.charts import Mark, line_chart
from embedcache.reports.page.document import document
from embedcache.reports.page.parts import bounds, inline, pair, percent, section, table, text

__all__ = ["decision_page"]

_MOST_DOUBTS = 12
_GAINS = (0.01, 0.02, 0.04, 0.08, 0.16)


def decision_page(decision: Decision, picture: Callable[[int], str | None]) -> bytes:
    """The page, UTF-8.

    Args:
        decision: What was decided.
        picture: Of a row of the cache as a data URI; None where it is not there any more.
    """
    signals = decision.signals
    subtitle = (
        f"{decision.backbone}, {signals.rows:,} training rows, {signals.classes:,} classes; "
        f"{signals.aside:,} rows set aside for judging were not read"
    )
    return document(
        f"What next for {decision.dataset}",
        subtitle,
        (
            _verdict(decision),
            _steps(decision),
            pair(_curve(decision), _power(decision)),
            pair(_pilot(decision), _heads(decision)),
            _doubts(decision, picture),
            _uninformative(decision),
            _thresholds(decision),
        ),
    )


def _verdict(decision: Decision) -> str:
    name = decision.verdict.replace("_", " ").lower()
    warnings = "".join(
        f'<p class="wrong">Suspicious: {text(warning)}</p>' for warning in decision.warnings
    )
    return (
        f'<section>\n<p class="big">{text(name)}</p>\n'
        f"<p>{text(MEANING[decision.verdict].capitalize())}.</p>\n<p>{text(decision.evidence)}</p>\n"
        f"{warnings}<pre>{text(decision.command)}</pre>\n</section>"
    )


def _steps(decision: Decision) -> str:
    rows = [
        [
            str(number),
            f"{text(step.question)}<br><code>{text(step.verdict)}</code>",
            f"<b>{text(step.answer)}</b>" if step.answer == "yes" else text(step.answer),
            text(step.evidence),
        ]
        for number, step in enumerate(decision.steps, start=1)
    ]
    return section(
        "Asked in this order: the first yes decides",
        table(["", "question and verdict", "answer", "evidence"], rows),
    )


def _curve(decision: Decision) -> str:
    signals, found = decision.signals, decision.signals.doubling
    marks = [Mark(float(p.rows), p.accuracy, p.interval) for p in signals.curve if p.rows > 0]
    if len({mark.x for mark in marks}) < 2:
        return ""
    return section(
        "Learning curve",
        line_chart(marks, "rows fitted", "Accuracy along the number of rows fitted"),
        f"<p>Twice the data promise {_points(found.gain)} points, with 95&nbsp;% confidence at "
        f"least {_points(found.low)}.</p>",
        '<p class="soft small">Accuracy in %, out of fold on the same rows, with 95&nbsp;% '
        "intervals. The promise continues the last two doublings; what another draw of rows "
        "would change is not in its bound.</p>",
    )


def _power(decision: Decision) -> str:
    signals = decision.signals
    one = sees(signals.detectable, signals.error)
    rows = signals.validation_rows if one else signals.rows
    marks = [
        Mark(100 * gain, mcnemar_power(gain, signals.changing, rows, LEVEL.value))
        for gain in _GAINS
    ]
    detectable = signals.detectable if one else signals.detectable_crossed
    least = (
        "no gain at all" if detectable is None else f"gains from {100 * detectable:.1f} points on"
    )
    return section(
        "What a pilot could see",
        line_chart(marks, "gain, points", "Power along the gain", guide=0.8),
        f"<p>{rows:,} {'validation' if one else 'cross-fitted'} rows show {least} in 8 cases of "
        "10.</p>",
        '<p class="soft small">Probability in % that McNemar’s mid-p test, one-sided at 5&nbsp;%, '
        f"finds a gain; {percent(signals.changing)}&nbsp;% of the rows are assumed to change "
        f"sides. Between {text(signals.model)} and a machine of radial basis functions "
        f"{percent(signals.discordance)}&nbsp;% do, and where three quarters of the errors are "
        "cured, no more than five quarters of them.</p>",
    )


def _pilot(decision: Decision) -> str:
    pilot = decision.pilot
    if pilot is None:
        return ""
    rows = [
        ["frozen", percent(pilot.frozen_accuracy)],
        ["tuned", percent(pilot.tuned_accuracy)],
        ["gain, points", _points(pilot.gain)],
        ["80 % bounds, each one-sided", f"{_points(pilot.low)} to {_points(pilot.high)}"],
        ["validation rows won, lost", f"{pilot.only_tuned:,}, {pilot.only_frozen:,}"],
        ["validation rows", f"{pilot.rows:,}"],
        ["trainings", f"{pilot.trainings}"],
        ["from block", text(pilot.boundary)],
        ["of the network, in time", f"{percent(pilot.share)} %"],
        ["views of each image", str(pilot.views)],
        ["steps, of those wanted", f"{pilot.steps:,} of {pilot.wanted:,}"],
        ["minutes", f"{pilot.minutes:.1f}"],
    ]
    return section("Pilot", table(["", ""], rows, "<>"))


def _heads(decision: Decision) -> str:
    signals = decision.signals
    found = [(head, signals.contest.rows) for head in signals.contest.heads]
    found += [(each.score, each.rows) for each in signals.elsewhere]
    rows = [[text(signals.model), percent(signals.contest.accuracy), "", ""]]
    rows += [
        [
            text(head.name),
            percent(head.accuracy),
            _points(head.gain),
            f"[{_points(head.low)}, {_points(head.high)}]",
        ]
        for head, _ in found
    ]
    return section(
        "Other heads" + (" and features" if signals.elsewhere else ""),
        table(["", "accuracy, %", "gain", "95 %"], rows, "<>>>"),
        f'<p class="soft small">Out of fold on {signals.contest.rows:,} training rows; the '
        "intervals of the heads hold all at once.</p>",
        *(f'<p class="soft small">Not tried: {text(why)}</p>' for why in signals.contest.left_out),
    )


def _doubts(decision: Decision, picture: Callable[[int], str | None]) -> str:
    signals = decision.signals
    return section(
        "Labels in doubt",
        f"<p>{signals.doubtful:,} training rows look like another class than their label says; "
        f"{signals.conflicting:,} more were left out, as the same image has several labels.</p>",
        '<ul class="gallery">\n'
        + "\n".join(_doubt(doubt, picture) for doubt in signals.doubts[:_MOST_DOUBTS])
        + "\n</ul>",
    )


def _doubt(doubt: Doubt, picture: Callable[[int], str | None]) -> str:
    found = picture(doubt.row)
    image = f'<img src="{found}" alt="">' if found else '<span class="blank">no picture</span>'
    return (
        f"<li>{image}labelled {inline(doubt.label, longest=30)}<br>looks like "
        f'<span class="wrong">{inline(doubt.suggestion, longest=30)}</span><br>'
        f'<span class="id">{inline(doubt.id, longest=48)}</span></li>'
    )


def _uninformative(decision: Decision) -> str:
    items = "\n".join(f"<li>{text(each)}</li>" for each in decision.uninformative)
    return section("Looked at, and no guide here", f'<ul class="plain">\n{items}\n</ul>')


def _thresholds(decision: Decision) -> str:
    rows = [[text(t.name), f"{t.value:g}", text(t.source)] for t in decision.thresholds]
    limits = decision.limits
    asked = f"asked for: a gain of {limits.min_gain:g}"
    if limits.target is not None:
        asked += f", an accuracy of {limits.target:g}"
    return section(
        "Thresholds",
        f"<p>{asked.capitalize()}.</p>",
        table(["of", "value", "from"], rows, "<>"),
        f'<p class="soft small">Accuracy {percent(decision.signals.accuracy)}&nbsp;% '
        f"{bounds(decision.signals.interval)}, seed {decision.seed}, identity "
        f"<code>{text(decision.identity)}</code>, content "
        f"<code>{text(decision.content_digest)}</code>.</p>",
    )


def _points(gain: float) -> str:
    return f"{100 * gain:+.1f}"
