"""`tuning_page`: the report of a fine-tuning for people, with the pictures that changed sides."""

from __future__ import annotations

import shlex
from dataclasses import fields
from typing import TYPE_CHECKING

from embedcache.extraction.environment import environment
from embedcache.finetuning.record import FinetuneRecord
from embedcache.inputs.pictures import read_picture
from embedcache.reports.page.finetune import FinetuneMaterial, finetune_page
from embedcache.reports.page.thumbnails import thumbnail
from embedcache.workflows.finetune_options import FinetuneOptions
from embedcache.workflows.page import cache_command, flag
from embedcache.workflows.tuning_rows import TuningRows

if TYPE_CHECKING:
    from embedcache.workflows.tuning_gate import Opened, TestRows

__all__ = ["tuning_page"]

_FLAGS = {"workers": "num_workers", "lr_auto": "lr"}


def tuning_page(
    record: FinetuneRecord,
    tuning: TuningRows,
    options: FinetuneOptions,
    test: TestRows | None,
    opened: Opened | None,
    name: str,
) -> bytes:
    """The page, UTF-8.

    Args:
        record: How the training went.
        tuning: The run that it started from, and its cache.
        options: What was asked for.
        test: The run's test rows, if it has any.
        opened: What they said, if they were read.
        name: Of the folder that the page is in.
    """
    head, cache = tuning.head, tuning.cache
    ids: tuple[str, ...] = ()
    if test is not None:
        ids = tuple(cache.ids.text(int(row)) for row in test.row)

    def picture(at: int) -> str | None:
        assert test is not None, "only test rows change sides"
        image = read_picture(test.images.paths[at], test.images.digests[at].tobytes())
        return None if image is None else thumbnail(image)

    ships = record.gate is not None and record.gate.ships
    return finetune_page(
        FinetuneMaterial(
            record=record,
            dataset=head.dataset,
            name=name if ships else None,
            names=head.classes + head.unseen,
            rows=None if opened is None else opened.seen,
            ids=ids,
            picture=picture,
            commands=(cache_command(cache), _command(tuning, options)),
            versions=environment(),
        )
    )


def _command(tuning: TuningRows, options: FinetuneOptions) -> str:
    """With every option that is not the default; the verdict need not be asked for again."""
    words = ["embedcache", "finetune", tuning.run.name]
    for each in fields(options):
        value = getattr(options, each.name)
        if value != each.default:
            shown = "auto" if each.name == "lr_auto" else value
            words += flag(_FLAGS.get(each.name, each.name), shown)
    return shlex.join([*words, "--force"])
