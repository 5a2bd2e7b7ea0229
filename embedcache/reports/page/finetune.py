"""`finetune_page`: a fine-tuning as one HTML file, like the report of a fit.

T is the number of rows that the gate has read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from embedcache.evaluation.intervals import wilson
from embedcache.evaluation.power import mcnemar_power
from embedcache.finetuning.gate import Gate
from embedcache.finetuning.gate_rows import GateRows
from embedcache.finetuning.record import FinetuneRecord
from embedcache.reports.page.charts import Mark, line_chart
from embedcache.reports.page.document import document
from embedcache.reports.page.parts import inline, pair, percent, section, table, text
from embedcache.reports.page.series import Series, series_chart
from embedcache.reports.page.sides import sides

__all__ = ["FinetuneMaterial", "finetune_page"]

_GAINS = (0.01, 0.02, 0.04, 0.08, 0.16)


@dataclass(frozen=True, eq=False)
class FinetuneMaterial:
    """All that the page shows.

    Attributes:
        record: How the training went.
        dataset: Name of the data set.
        name: Of the run that came of it; None where nothing passed the gate.
        names: Of the head's classes, then of those that occur in test rows only.
        rows: What the gate saw of each of the T rows; None where it was not opened.
        ids: Names of the T rows.
        picture: Of one of the T rows as a data URI; None where it is not there any more.
        commands: What to type to repeat it, in order.
        versions: Of the software, by name.
    """

    record: FinetuneRecord
    dataset: str
    name: str | None
    names: Sequence[str]
    rows: GateRows | None
    ids: Sequence[str]
    picture: Callable[[int], str | None]
    commands: Sequence[str]
    versions: Mapping[str, str]


def finetune_page(material: FinetuneMaterial) -> bytes:
    """The page, UTF-8."""
    record = material.record
    what = f"{record.trained_blocks:,} of {record.blocks:,} blocks and the head"
    subtitle = (
        f"{record.backbone}: {what}, {record.train_rows:,} training rows, "
        f"{record.validation_rows:,} for validation; from the head of {record.run}"
    )
    parts = [_headline(material), pair(_losses(record), _accuracies(record)), _sweep(record)]
    if material.rows is not None:
        changed = material.names, material.ids, material.picture
        parts.append(sides(material.rows, *changed))
    parts += [pair(_gate(record.gate), _trials(record)), pair(_recipe(record), _cost(record))]
    parts.append(_repeat(material))
    return document(f"Fine-tuning on {material.dataset}", subtitle, parts)


def _headline(material: FinetuneMaterial) -> str:
    record, gate = material.record, material.record.gate
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
    use = (
        f"<pre>{text(f'embedcache predict {material.name} IMAGES…')}</pre>\n"
        if material.name is not None
        else ""
    )
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


def _losses(record: FinetuneRecord) -> str:
    lines = []
    if record.progress.losses:
        points = [(float(each.step), each.loss) for each in record.progress.losses]
        lines.append(Series("training, with label smoothing", points, kind="other"))
    if record.progress.judged:
        points = [(float(each.step), each.log_loss) for each in record.progress.judged]
        lines.append(Series("validation", points))
    if not lines:
        return ""
    return section("Log-loss", series_chart(lines, "steps", "Log-loss along the steps"))


def _accuracies(record: FinetuneRecord) -> str:
    judged, rows = record.progress.judged, record.validation_rows
    if not judged:
        return ""
    found = [wilson(round(each.accuracy * rows), rows) for each in judged]
    line = Series(
        "",
        [(float(each.step), 100 * each.accuracy) for each in judged],
        [type(each)(100 * each.low, 100 * each.high) for each in found],
    )
    return section(
        "Validation accuracy",
        series_chart([line], "steps", "Validation accuracy along the steps", unit=" %"),
        f'<p class="soft small">Of {rows:,} rows, with 95&nbsp;% intervals. The last weights '
        "count: nothing is chosen by this curve.</p>",
    )


def _sweep(record: FinetuneRecord) -> str:
    swept = record.sweep
    if swept is None or not swept.points:
        return ""
    points = [(each.alpha, each.log_loss) for each in swept.points]
    rows = [
        [
            f"<b>{each.alpha:.1f}</b>" if each.alpha == swept.alpha else f"{each.alpha:.1f}",
            percent(each.accuracy),
            f"{each.log_loss:.3f}",
            f"{each.excess:.3f}",
            "–" if each.standard_error is None else f"{each.standard_error:.3f}",
        ]
        for each in swept.points
    ]
    straight = Series("straight line between the ends", [points[0], points[-1]], kind="guide")
    chart = series_chart(
        [Series("validation", points), straight],
        "share of the way from frozen (0) to tuned (1)",
        "Validation log-loss along the way from the frozen to the tuned weights",
        chosen=next((point for point in points if point[0] == swept.alpha), None),
    )
    head = ["share", "accuracy, %", "log-loss", "excess", "s.e."]
    return section(
        "How far to go",
        f'<div class="pair"><div>{chart}</div><div>{table(head, rows, ">>>>>")}</div></div>',
        f"<p>{swept.alpha:.1f} of the way is taken: the smallest share whose excess over the best "
        "log-loss is within its paired standard error. The barrier on the way, the most that the "
        f"loss rises above the straight line, is {swept.barrier:.3f}.</p>",
    )


def _gate(gate: Gate | None) -> str:
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


def _trials(record: FinetuneRecord) -> str:
    if not record.trials:
        return ""
    best = record.recipe.learning_rate
    rows = [
        [
            f"<b>{each.learning_rate:.2g}</b>"
            if each.learning_rate == best
            else f"{each.learning_rate:.2g}",
            "diverged" if each.log_loss is None else f"{each.log_loss:.3f}",
            percent(each.accuracy),
            f"{each.seconds / 60:.1f}",
        ]
        for each in record.trials
    ]
    return section(
        "Learning rate",
        table(["rate", "log-loss", "accuracy, %", "minutes"], rows, ">>>>"),
        '<p class="soft small">Trainings of a quarter of the length, on the validation rows; the '
        "lowest log-loss is taken.</p>",
    )


def _recipe(record: FinetuneRecord) -> str:
    recipe = record.recipe
    softened = ", a thirtieth of the run's, which had nothing left to learn" * record.softened
    rows = [
        ["family", text(record.family)],
        ["trained", text(f"{record.unfreeze}: {record.trained_blocks} of {record.blocks} blocks")],
        ["learning rate, AdamW", f"{recipe.learning_rate:.2g}"],
        ["decay by block", f"{recipe.layer_decay:g}"],
        ["weight decay", f"{recipe.weight_decay:g}"],
        ["steps", f"{recipe.steps:,} of {recipe.batch_size:,} rows"],
        ["warm-up, then cosine", f"{100 * recipe.warmup:.0f} %"],
        ["largest gradient", f"{recipe.clip:g}"],
        ["label smoothing", f"{recipe.label_smoothing:g}"],
        ["augmentation", text(record.augment)],
        ["classes weighed alike", "yes" if record.class_weights else "no"],
        ["precision", text(recipe.precision)],
        ["seed", str(recipe.seed)],
        ["C of the first head", text(f"{record.c:.3g}{softened}")],
    ]
    return section("Recipe", table(["", ""], rows))


def _cost(record: FinetuneRecord) -> str:
    plan = record.plan
    rows = [
        ["minutes", f"{record.minutes:.1f}"],
        ["estimated before", f"{plan.estimated_minutes:.1f}"],
        ["seconds for a step", f"{plan.step_seconds:.2f}"],
        ["steps", f"{record.recipe.steps:,}"],
        ["trials", f"{len(record.trials)}"],
        ["rows at once", f"{record.progress.micro_batch:,}"],
        ["parity gap at the start", f"{plan.parity:.2g}"],
    ]
    notes = "".join(f'<p class="soft small">{text(note.capitalize())}.</p>' for note in plan.notes)
    return section("Cost", table(["", ""], rows, "<>"), notes)


def _repeat(material: FinetuneMaterial) -> str:
    lines = "\n".join(map(text, material.commands))
    versions = ", ".join(f"{name} {version}" for name, version in material.versions.items())
    return section(
        "How to repeat it",
        f"<pre>{lines}</pre>",
        f'<p class="soft small">With {text(versions)}. On a CPU to the bit; fingerprint '
        f"<code>{inline(material.record.fingerprint, longest=64)}</code>.</p>",
    )
