"""`embedcache decide`: what would help most, and the evidence for it."""

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
    seed_option,
    target_option,
)
from embedcache.heads.names import MODEL_NAMES

__all__ = ["decide"]


@click.command()
@click.argument("cache", type=click.Path(path_type=Path, dir_okay=False), required=False)
@target_option
@click.option(
    "--min-gain",
    type=click.FloatRange(0, 0.5, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    metavar="GAIN",
    help="Gain of accuracy that is worth the work; 0.01 is a point.",
)
@click.option(
    "--model",
    type=click.Choice(MODEL_NAMES),
    default="logreg",
    show_default=True,
    help="The head that is decided about.",
)
@click.option(
    "--c",
    "values",
    type=click.FloatRange(min=0, min_open=True),
    metavar="C",
    multiple=True,
    help="Exactly this value (repeatable) of the head's parameter, as for fit-head.",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="CACHE",
    multiple=True,
    help="Another cache of the same images (repeatable): are its features better?",
)
@click.option(
    "--pilot/--no-pilot",
    default=True,
    show_default=True,
    help="Fine-tune for some minutes where only that can tell.",
)
@click.option(
    "--budget",
    type=click.FloatRange(min=0, min_open=True),
    default=3.0,
    show_default=True,
    metavar="MINUTES",
    help="For the pilot, caching of activations included.",
)
@device_option
@seed_option("folds and bootstrap")
@cache_dir_option
@click.option(
    "-o",
    "--runs-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of runs.  [default: EMBEDCACHE_RUNS_DIR, else ./runs]",
)
@common_options
def decide(
    cache: Path | None, *, as_json: bool, quiet: bool, values: tuple[float, ...], **options: Any
) -> None:
    """Say what would help most: fine-tuning, or something cheaper.

    That may be better data, a better head, more rows, or nothing at all.
    Without CACHE, the newest one. One verdict, the evidence for it and the next command.
    Reads training rows only, never those that fit-head sets aside for judging.
    Where nothing cached can tell, a pilot does: the last blocks are fine-tuned from activations
    that are cached beside the features. Its cost is said before it starts.
    """
    from embedcache.heads.json_records import dump_record
    from embedcache.reports.decide_text import decide_text
    from embedcache.runs.folder import DECISION_PAGE, DOUBTS
    from embedcache.store.catalog import cache_root, choose_cache
    from embedcache.workflows import decide as workflow

    path = cache or choose_cache(cache_root(options["cache_dir"]), "decide")
    with watch(quiet=quiet or as_json) as console:
        if cache is None:
            console.note(f"cache: {path}")
        found = workflow.decide(
            path, values=values or None, progress=console.status, observer=console, **options
        )
    if as_json:
        record = json.loads(dump_record(found.decision))
        print_json({"folder": str(found.path), "decision": record})
        return
    click.echo(decide_text(found.decision))
    click.echo(f"report:  {shown(found.path / DECISION_PAGE)}")
    click.echo(f"doubts:  {shown(found.path / DOUBTS)}")
    click.echo(f"next:    {found.decision.command}")
