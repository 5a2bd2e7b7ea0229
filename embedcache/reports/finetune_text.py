"""A fine-tuning as text, at most 80 columns wide."""

from __future__ import annotations

from embedcache.evaluation.intervals import wilson
from embedcache.finetuning.curve import Judged
from embedcache.finetuning.gate import Gate
from embedcache.finetuning.record import FinetuneRecord
from embedcache.reports.escape import printable
from embedcache.storage.publish import human_bytes

__all__ = ["finetune_text", "outcome_text"]


def finetune_text(record: FinetuneRecord) -> str:
    """What was trained, the curves, and what they are not."""
    lines = [*_what(record), "", *_curves(record), "", *_verdict(record), "", *_cost(record)]
    return "\n".join(lines)


def _what(record: FinetuneRecord) -> list[str]:
    recipe = record.recipe
    part = f"{record.trained_blocks} of {record.blocks} blocks and the head"
    rows = f"{record.train_rows:,} rows, {record.validation_rows:,} more being for validation"
    rate = f"at {recipe.learning_rate:.2g} in {recipe.precision}"
    lines = [
        f"fine-tuned {printable(record.backbone)}: {part}",
        f"{recipe.steps:,} steps of {recipe.batch_size} {rate}, augmentation: {record.augment}",
        f"started from the head of {printable(record.run)}",
        f"refitted at C = {record.c:.3g} on {rows}",
    ]
    if (tail := record.plan.tail) is not None:
        views = f"{tail.views} view{'s' if tail.views > 1 else ''} of each image"
        lines.append(
            f"from activations cached at {printable(tail.boundary)}: {views}, "
            f"{human_bytes(tail.bytes)}"
        )
    if record.softened:
        lines.append(
            f"(a thirtieth of the run's C, which leaves on training rows only "
            f"{record.residual_ratio:.0%} of\nthe residual on others: too little to learn from)"
        )
    for trial in record.trials:
        loss = "diverged" if trial.log_loss is None else f"log-loss {trial.log_loss:.3f}"
        lines.append(f"trial at {trial.learning_rate:.2g}: {loss}")
    return lines


def _curves(record: FinetuneRecord) -> list[str]:
    lines = ["  step  training loss  validation log-loss  validation accuracy"]
    for judged in record.progress.judged:
        before = [each.loss for each in record.progress.losses if each.step <= judged.step]
        loss = f"{before[-1]:.3f}" if before else "–"
        lines.append(
            f"{judged.step:>6,}  {loss:>13}  {judged.log_loss:>19.3f}  "
            f"{_accuracy(judged, record.validation_rows)}"
        )
    return lines


def _verdict(record: FinetuneRecord) -> list[str]:
    """How far the weights went, and what the test rows say of it."""
    if record.sweep is None:
        return ["Validation rows are for looking at; what the test rows say is not known yet."]
    lines = [
        f"alpha: {record.sweep.alpha:.1f} of the way from frozen (0) to tuned (1), by validation",
        f"rows; the barrier between them, in log-loss, is {record.sweep.barrier:.3f}",
    ]
    gate = record.gate
    if not record.sweep.alpha:
        return [*lines, "stay frozen: no tuned weights are better. The test rows stay unread."]
    if gate is None:
        return [*lines, "stay frozen: the run has no test rows, so nothing can pass the gate"]
    low, high = 100 * gate.interval.low, 100 * gate.interval.high
    before, after = f"{gate.accuracy_before:.1%} before", f"{gate.accuracy_after:.1%} after"
    what = "cross-fitted rows" if record.thirds else "test rows"
    lines.append(f"gate {gate.number} on {gate.rows:,} {what}: {before}, {after}")
    lines += [
        f"  a training without {third.rows:,} rows: {third.gained:,} gained, {third.lost:,} lost, "
        f"alpha {third.alpha:.1f}"
        for third in record.thirds
    ]
    lines.append(f"{_votes(gate)}, p = {gate.p:.2g}, level {gate.level:.2g}")
    sure = f"[{low:+.1f}, {high:+.1f}], {1 - gate.level:.2%} interval"
    lines.append(f"difference: {100 * gate.difference:+.1f} points {sure}")
    if gate.ships:
        return [*lines, "passed: the tuned model is better than the run's head"]
    return [*lines, "stay frozen: not proven better. The evidence is kept."]


def outcome_text(record: FinetuneRecord) -> str:
    """Whether the tuned weights passed, and why not, in half a sentence."""
    gate = record.gate
    if gate is None:
        if record.sweep is not None and not record.sweep.alpha:
            return "stay frozen: no tuned weights are better on validation rows"
        return "stay frozen: there were no test rows for the gate"
    low, high = 100 * gate.interval.low, 100 * gate.interval.high
    gain = f"{100 * gate.difference:+.1f} points [{low:+.1f}, {high:+.1f}], p = {gate.p:.2g}"
    return f"passed: {gain}" if gate.ships else f"stay frozen: {gain}, not proven better"


def _votes(gate: Gate) -> str:
    what = "rows" if gate.units == gate.rows else f"of {gate.units:,} groups"
    return f"{gate.gained:,} {what} gained, {gate.lost:,} lost"


def _accuracy(judged: Judged, rows: int) -> str:
    interval = wilson(round(judged.accuracy * rows), rows)
    return f"{judged.accuracy:.1%} [{interval.low:.1%}, {interval.high:.1%}]"


def _cost(record: FinetuneRecord) -> list[str]:
    estimate = f"(estimated {record.plan.estimated_minutes:.1f})"
    return [f"minutes: {record.minutes:.1f} on {record.device} {estimate}", *record.plan.notes]
