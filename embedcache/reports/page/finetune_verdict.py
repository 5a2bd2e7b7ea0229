"""What a fine-tuning's page says of its gate: the verdict, and what it could see."""

from __future__ import annotations

from embedcache.evaluation.power import mcnemar_power
from embedcache.finetuning.gate import Gate
from embedcache.finetuning.record import FinetuneRecord
from embedcache.reports.page.charts import Mark, line_chart
from embedcache.reports.page.parts import percent, section, text

__all__ = ["gate_power", "headline"]

_GAINS = (0.01, 0.02, 0.04, 0.08, 0.16)


def headline(record: FinetuneRecord, name: str | None) -> str:
    """What ships, by what gain, and what it cost.

    Args:
        record: How the training went.
        name: Of the run that came of it; None where nothing passed the gate.
    """
    gate = record.gate
    if gate is None:
        return (
            f'<section>\n<p class="big">stay frozen</p>\n<p>{_unopened(record)}</p>\n'
            f"<p>{record.minutes:.1f} minutes on {text(record.device)} bought the knowledge that "
            "this training is not worth it here.</p>\n</section>"
        )
    low, high = 100 * gate.interval.low, 100 * gate.interval.high
    verdict = "the tuned model ships" if gate.ships else "stay frozen"
    net = round((gate.accuracy_after - gate.accuracy_before) * gate.rows)
    proof = (
        "More is right than before, and chance alone would rarely do that."
        if gate.ships
        else "That is not proven better: the evidence is kept, and the frozen head goes on."
    )
    use = f"<pre>{text(f'embedcache predict {name} IMAGES…')}</pre>\n" if name is not None else ""
    return (
        f'<section>\n<p class="big">{verdict}<br><small>{100 * gate.difference:+.1f} points '
        f"[{low:+.1f}, {high:+.1f}]</small></p>\n"
        f"<p>Right before: {percent(gate.accuracy_before)}&nbsp;%; after: "
        f"{percent(gate.accuracy_after)}&nbsp;% of {gate.rows:,} {_judged_by(record)}. "
        f"{_votes(gate)}: p&nbsp;=&nbsp;{gate.p:.2g}, where "
        f"{gate.level:.2g} is needed. {proof}</p>\n"
        f"<p>{record.minutes:.1f} minutes on {text(record.device)} bought {net:+,} right answers "
        f"in {gate.rows:,}.</p>\n{use}"
        f'<p class="soft small">Mid-p McNemar test and score interval at a confidence of '
        f"{100 * (1 - gate.level):.3g}&nbsp;%; gate number {gate.number} on these rows.</p>\n"
        "</section>"
    )


def gate_power(gate: Gate | None) -> str:
    """What the gate could see; nothing where it was not opened."""
    if gate is None:
        return ""
    discordance = (gate.gained + gate.lost) / gate.units
    marks = [
        Mark(100 * gain, mcnemar_power(gain, discordance, gate.units, gate.level))
        for gain in _GAINS
    ]
    return section(
        "What the gate could see",
        line_chart(marks, "gain, points", "Power of the gate along the gain", guide=0.8),
        f'<p class="soft small">Probability in % that a gain passes, where {percent(discordance)}'
        f"&nbsp;% of {gate.units:,} change sides, as they did, at a level of {gate.level:.2g}.</p>",
    )


def _unopened(record: FinetuneRecord) -> str:
    if record.sweep is not None and not record.sweep.alpha:
        return (
            "The validation rows find no tuned weights that are better than the frozen ones, so "
            "the gate was not opened and the test rows stay unread."
        )
    return (
        "The run has no test rows, so there is no gate that the tuned model could pass: no row is "
        "left that neither trained it nor chose it. Trainings without a third of the rows each "
        "would judge it: --cross-fit."
    )


def _judged_by(record: FinetuneRecord) -> str:
    if record.thirds:
        return f"training rows, each by one of {len(record.thirds)} trainings without it"
    return "test rows that the training had not read"


def _votes(gate: Gate) -> str:
    what = "rows" if gate.units == gate.rows else f"of {gate.units:,} groups"
    return f"{gate.gained:,} {what} gained, {gate.lost:,} lost"
