"""`embedcache compare`: which of several runs is better, on the same rows."""

from __future__ import annotations

import json
from pathlib import Path

import click

from embedcache.cli.options import common_options, runs_dir_option, seed_option

__all__ = ["compare"]


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "--metric",
    type=click.Choice(["accuracy", "log_loss"]),
    help="What ranks.  [default: accuracy; log_loss where images have any number of labels]",
)
@seed_option("the bootstrap")
@runs_dir_option
@common_options
def compare(
    runs: tuple[str, ...],
    *,
    metric: str | None,
    seed: int,
    runs_dir: Path | None,
    as_json: bool,
    quiet: bool,  # noqa: ARG001  # there is nothing to silence
) -> None:
    """Rank runs on the rows that all of them judged, in pairs.

    RUN… are names or folders of runs; heads and backbones may differ.

    Rows are joined by the digest of the image, and compared in pairs: what makes a
    row hard cancels out. With more than two runs the intervals hold all at once.
    Where images have any number of labels, an image's log-loss is the mean of its labels'.
    """
    from embedcache.cli.console import print_json
    from embedcache.heads.json_records import dump_record
    from embedcache.reports.compare_text import compare_text
    from embedcache.workflows import compare as workflow

    found = workflow.compare(runs, metric=metric, seed=seed, runs_dir=runs_dir)
    if as_json:
        print_json(json.loads(dump_record(found)))
        return
    click.echo(compare_text(found), nl=False)
