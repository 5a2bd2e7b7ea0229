"""`embedcache predict`: classify new images with a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from embedcache.cli.console import print_json, shown, watch
from embedcache.cli.options import (
    cache_dir_option,
    common_options,
    compute_options,
    runs_dir_option,
)
from embedcache.errors import UsageError

__all__ = ["predict"]


@click.command()
@click.argument("run")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A .csv, .jsonl or .parquet file.  [default: CSV on standard output]",
)
@click.option(
    "--top-k",
    type=click.IntRange(min=1),
    metavar="K",
    default=1,
    show_default=True,
    help="Classes to name for each image, with their probabilities.",
)
@click.option(
    "--no-abstain",
    is_flag=True,
    help="Name classes also for images that the head is not sure enough of.",
)
@compute_options
@cache_dir_option
@runs_dir_option
@common_options
def predict(
    run: str,
    images: tuple[Path, ...],
    *,
    output: Path | None,
    top_k: int,
    no_abstain: bool,
    num_workers: int | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Classify IMAGES with the head of RUN.

    IMAGES are files, folders, or CSV or Parquet manifests. They are embedded with
    the run's own backbone, preprocessing and precision; cached features are reused.
    For a run on imported features, IMAGES are .npy files of new features.
    A head of any number of labels gives the probability of each, and in `labels` those
    that it answers, with a probability above one half.
    A head that was fitted with --abstain-precision names no class where it is not sure
    enough; the column `abstained` says where.
    With --json and --output, prints one object that counts what was done.
    """
    import numpy as np

    from embedcache.reports.predictions import prediction_writer
    from embedcache.workflows.predict import open_predictor

    if as_json and output is None:
        raise UsageError(
            "--json needs somewhere else for the predictions",
            hint="add --output FILE.csv, .jsonl or .parquet",
        )
    predictor = open_predictor(run, workers=num_workers, **options)
    head = predictor.head
    count = rejected = abstained = 0
    with (
        watch(quiet=quiet or as_json) as console,
        prediction_writer(
            output,
            sys.stdout.buffer,
            head.classes,
            top=top_k,
            marks=head.abstain is not None,
            answers_all=no_abstain,
            several=head.output == "sigmoid",
        ) as writer,
    ):
        for prediction in predictor.predict(images):
            count += 1
            console.status(f"{count:,} images")
            if prediction.probabilities is None:
                rejected += 1
                writer.reject(prediction.id, prediction.error)
            else:
                abstained += prediction.abstained
                silent = np.array([prediction.abstained])
                writer.write([prediction.id], prediction.probabilities[None], silent)
    if as_json:
        counts = {"predicted": count - rejected, "rejected": rejected, "output": str(output)}
        print_json({**counts, "abstained": abstained} if head.abstain else counts)
    elif output is not None and not quiet:
        unsure = f", {abstained:,} without an answer" if abstained else ""
        left_out = f"{unsure}, {rejected:,} rejected" if rejected else unsure
        click.echo(f"{count - rejected:,} images classified{left_out}: {shown(output.absolute())}")
    return 3 if rejected else 0
