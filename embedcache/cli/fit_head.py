"""`embedcache fit-head`: fit and evaluate a head on cached features."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedcache.cli.console import print_json, shown, watch
from embedcache.cli.options import cache_dir_option, common_options, runs_dir_option

if TYPE_CHECKING:
    from embedcache.workflows.fit import Run

__all__ = ["fit_head", "run_text"]


@click.command("fit-head")
@click.argument("cache", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option(
    "--model",
    type=click.Choice(["logreg"]),
    default="logreg",
    show_default=True,
    help="logreg: multinomial logistic regression with an L2 penalty.",
)
@click.option(
    "--metric",
    type=click.Choice(["log_loss", "accuracy", "balanced_accuracy"]),
    default="log_loss",
    show_default=True,
    help="What chooses C, out of fold.",
)
@click.option(
    "--c",
    "cs",
    type=click.FloatRange(min=0, min_open=True),
    metavar="C",
    multiple=True,
    help="Exactly this C (repeatable), instead of a grid that finds its range.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of folds and bootstrap.")
@click.option(
    "--on-conflict",
    type=click.Choice(["error", "drop"]),
    default="error",
    show_default=True,
    help="The same bytes under different labels: stop, or leave them out.",
)
@cache_dir_option
@runs_dir_option
@common_options
def fit_head(
    cache: Path | None, *, cs: tuple[float, ...], as_json: bool, quiet: bool, **options: Any
) -> None:
    """Fit a head on CACHE and evaluate it, without the backbone.

    Without CACHE, the newest one. C is chosen by cross-validation on training rows
    only; every score comes with its 95 % interval and beside the majority baseline.
    The head, its report and its rows go to a new folder under runs/.
    """
    from embedcache.heads.json_records import dump_record
    from embedcache.store.catalog import cache_root, choose_cache
    from embedcache.workflows import fit

    path = cache or choose_cache(cache_root(options["cache_dir"]))
    with watch(quiet=quiet or as_json) as console:
        if cache is None:
            console.note(f"cache: {path}")
        run = fit.fit_head(
            path, cs=cs or None, notify=console.note, progress=console.status, **options
        )
    if as_json:
        print_json({"run": str(run.path), "report": json.loads(dump_record(run.report))})
        return
    click.echo(run_text(run, options["runs_dir"]))


def run_text(run: Run, runs_dir: Path | None) -> str:
    """The report, where the run lies, and the next command."""
    from embedcache.reports.fit_text import fit_text

    name = run.path.name if runs_dir is None else shown(run.path)
    next_ = f"next:    embedcache predict {name} IMAGES…"
    return f"{fit_text(run.report)}\nrun:     {shown(run.path)}\n{next_}"
