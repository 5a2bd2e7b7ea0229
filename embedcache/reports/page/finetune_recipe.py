"""The tables of a fine-tuning's page: learning rates that were tried, recipe, and cost."""

from __future__ import annotations

from embedcache.finetuning.record import FinetuneRecord
from embedcache.reports.page.parts import percent, section, table, text

__all__ = ["cost", "recipe", "trials"]


def trials(record: FinetuneRecord) -> str:
    """Learning rates that were tried; nothing where none were."""
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


def recipe(record: FinetuneRecord) -> str:
    """How it was trained."""
    used = record.recipe
    softened = ", a thirtieth of the run's, which had nothing left to learn" * record.softened
    rows = [
        ["family", text(record.family)],
        ["trained", text(f"{record.unfreeze}: {record.trained_blocks} of {record.blocks} blocks")],
        ["learning rate, AdamW", f"{used.learning_rate:.2g}"],
        ["decay by block", f"{used.layer_decay:g}"],
        ["weight decay", f"{used.weight_decay:g}"],
        ["steps", f"{used.steps:,} of {used.batch_size:,} rows"],
        ["warm-up, then cosine", f"{100 * used.warmup:.0f} %"],
        ["largest gradient", f"{used.clip:g}"],
        ["label smoothing", f"{used.label_smoothing:g}"],
        ["augmentation", text(record.augment)],
        ["classes weighed alike", "yes" if record.class_weights else "no"],
        ["precision", text(used.precision)],
        ["seed", str(used.seed)],
        ["C of the first head", text(f"{record.c:.3g}{softened}")],
    ]
    return section("Recipe", table(["", ""], rows))


def cost(record: FinetuneRecord) -> str:
    """What it cost, and what was expected."""
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
