"""`embedcache finetune`: train the backbone further, from the cached head."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from embedcache.cli.console import print_json, shown, watch
from embedcache.cli.options import (
    cache_dir_option,
    common_options,
    device_option,
    runs_dir_option,
    seed_option,
)
from embedcache.errors import UsageError
from embedcache.finetuning.augment_names import (
    AUGMENTATIONS,
    NO_AUGMENTATION,
    TAIL_AUGMENTATIONS,
)
from embedcache.finetuning.parts import AUTO
from embedcache.reports.escape import printable

__all__ = ["finetune"]

_PLACES = ("cache_dir", "runs_dir", "force", "overwrite", "cross_fit")


@click.command()
@click.argument("cache_or_run", metavar="[CACHE|RUN]", required=False)
@click.option(
    "--unfreeze",
    metavar="PART",
    default="all",
    show_default=True,
    help="Which blocks are trained: tail, from cached activations of the block that it begins at; "
    "last-N or all, from the images.",
)
@click.option(
    "--boundary",
    metavar="BLOCK",
    default=AUTO,
    show_default=True,
    help="Where the tail begins: a block, or last-N; auto: the earliest that leaves 15 % of a "
    "step of all blocks, within budget and disk.",
)
@click.option(
    "--views",
    type=click.IntRange(min=1),
    help="Cached of each image for the tail, the plain one included, made by --augment.  "
    "[default: the most of 4, 2 and 1 that fit]",
)
@click.option(
    "--lr",
    metavar="RATE",
    help="Peak learning rate, or auto: a third of the recipe's, the recipe's own, or three times "
    "it, by short trainings.  [default: the recipe of the backbone's family]",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    help="Steps of the optimiser.  [default: 10 epochs, at least 500 steps]",
)
@click.option(
    "-b",
    "--batch-size",
    type=click.IntRange(min=1),
    help="Rows in a step; what memory cannot hold at once is done in parts.  [default: 32]",
)
@click.option(
    "--augment",
    type=click.Choice(list(dict.fromkeys((*AUGMENTATIONS, *TAIL_AUGMENTATIONS)))),
    default=NO_AUGMENTATION,
    show_default=True,
    help="flip: left and right. flips: also up and down. light: a flip, small shifts and tints. "
    "strong: a flip and TrivialAugment. For the tail: flip, crop, crops (both) or flips (crops, "
    "also up and down).",
)
@click.option("--class-weights", is_flag=True, help="Weigh all classes alike.")
@click.option(
    "--budget",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MINUTES",
    help="Take no longer; the cost is measured on real steps first.",
)
@click.option(
    "--source",
    type=click.Path(path_type=Path, exists=True),
    help="Folder or table of the images, if they have moved; found by their bytes.",
)
@device_option
@click.option(
    "--precision",
    type=click.Choice([AUTO, "float32", "bfloat16"]),
    default=AUTO,
    show_default=True,
    help="Of the training; auto: bfloat16 where the device computes in it. Scores are measured "
    "in the backbone's own.",
)
@click.option(
    "-j",
    "--num-workers",
    "workers",
    type=click.IntRange(min=0),
    help="Processes that read and prepare images.  [default: 1 on a CPU, else one per core]",
)
@click.option(
    "--checkpoint-minutes",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    help="Minutes between two checkpoints; an interruption writes one, too.",
)
@seed_option("validation rows, order, augmentation and dropout")
@click.option(
    "--cross-fit",
    is_flag=True,
    help="Judge by three more trainings, each on two thirds of the training rows, instead of by "
    "test rows: for runs that have none, or too few.",
)
@click.option("--force", is_flag=True, help="Train without asking `decide` first.")
@click.option("--overwrite", is_flag=True, help="Train again what is finished.")
@cache_dir_option
@runs_dir_option
@common_options
def finetune(cache_or_run: str | None, *, as_json: bool, quiet: bool, **options: Any) -> None:
    """Train the backbone of CACHE|RUN further, with its head.

    It starts as the cached head: validation rows are set aside, the head is fitted without
    them, and backbone and head together must give the cached logits before the first step.
    `decide` is asked first: unless its verdict is ESCALATE, nothing is trained.
    Labels and sides are the run's. Its test rows are read once, at the end: the gate says
    whether the tuned model is better than the run's head.
    What passes is a run with a backbone of its own, tuned:RUN, whose features are cached.
    The same command goes on after an interruption.
    """
    from embedcache.heads.json_records import dump_record
    from embedcache.reports.finetune_text import finetune_text
    from embedcache.runs.folder import FINETUNE_PAGE
    from embedcache.workflows import finetune as workflow
    from embedcache.workflows.finetune_options import FinetuneOptions

    places = {name: options.pop(name) for name in _PLACES}
    rate = options.pop("lr")
    _check_labels(cache_or_run, places["cache_dir"])
    wanted = FinetuneOptions(**options, lr=_rate(rate), lr_auto=rate == AUTO)
    with watch(quiet=quiet or as_json) as console:
        done = workflow.finetune(
            cache_or_run,
            wanted,
            **places,
            notify=console.note,
            on_step=console.progress,
        )
    if as_json:
        record = json.loads(dump_record(done.record))
        cache = done.cache and str(done.cache)
        print_json({"run": str(done.path), "cache": cache, "finetune": record})
        return
    click.echo(f"{finetune_text(done.record)}\nrun:     {shown(done.path)}")
    click.echo(f"report:  {shown(done.path / FINETUNE_PAGE)}")
    if done.record.gate and done.record.gate.ships:
        if done.cache:
            click.echo(f"cache:   {shown(done.cache)}")
        click.echo(f"next:    embedcache predict {printable(done.path.name)} IMAGES…")


def _check_labels(cache_or_run: str | None, cache_dir: Path | None) -> None:
    """Refuse images of any number of labels before a head is fitted to start from."""
    from embedcache.store.cache import FeatureCache
    from embedcache.store.catalog import cache_root, choose_cache
    from embedcache.workflows.problem import check_one_label

    if cache_or_run is None:
        check_one_label(FeatureCache(choose_cache(cache_root(cache_dir), "finetune")))
    elif Path(cache_or_run).suffix == ".h5":
        check_one_label(FeatureCache(cache_or_run))


def _rate(text: str | None) -> float | None:
    if text is None or text == AUTO:
        return None
    try:
        return float(text)
    except ValueError:
        raise UsageError(
            "not a learning rate", got=f"--lr {text}", expected="a number or auto"
        ) from None
