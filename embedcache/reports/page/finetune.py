"""`finetune_page`: a fine-tuning as one HTML file, like the report of a fit.

T is the number of rows that the gate has read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from embedcache.finetuning.gate_rows import GateRows
from embedcache.finetuning.record import FinetuneRecord
from embedcache.reports.page.document import document
from embedcache.reports.page.finetune_curves import accuracies, losses, way
from embedcache.reports.page.finetune_recipe import cost, recipe, trials
from embedcache.reports.page.finetune_verdict import gate_power, headline
from embedcache.reports.page.parts import inline, pair, section, text
from embedcache.reports.page.sides import sides

__all__ = ["FinetuneMaterial", "finetune_page"]


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
    parts = [headline(record, material.name), pair(losses(record), accuracies(record)), way(record)]
    if material.rows is not None:
        changed = material.names, material.ids, material.picture
        parts.append(sides(material.rows, *changed))
    parts += [pair(gate_power(record.gate), trials(record)), pair(recipe(record), cost(record))]
    parts.append(_repeat(material))
    return document(f"Fine-tuning on {material.dataset}", subtitle, parts)


def _repeat(material: FinetuneMaterial) -> str:
    lines = "\n".join(map(text, material.commands))
    versions = ", ".join(f"{name} {version}" for name, version in material.versions.items())
    return section(
        "How to repeat it",
        f"<pre>{lines}</pre>",
        f'<p class="soft small">With {text(versions)}. On a CPU to the bit; fingerprint '
        f"<code>{inline(material.record.fingerprint, longest=64)}</code>.</p>",
    )
