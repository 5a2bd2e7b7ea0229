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
    num_workers: int | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Classify IMAGES with the head of RUN.

    IMAGES are files, folders, or CSV or Parquet manifests. They are embedded with
    the run's own backbone, preprocessing and precision; cached features are reused.
    For a run on imported features, IMAGES are .npy files of new features.
    With --json and --output, prints one object that counts what was done.
    """
    from embedcache.reports.predictions import prediction_writer
    from embedcache.workflows.predict import open_predictor

    if as_json and output is None:
        raise UsageError(
            "--json needs somewhere else for the predictions",
            hint="add --output FILE.csv, .jsonl or .parquet",
        )
    predictor = open_predictor(run, workers=num_workers, **options)
    classes = predictor.head.classes
    count = rejected = 0
    with (
        watch(quiet=quiet or as_json) as console,
        prediction_writer(output, sys.stdout.buffer, classes, top=top_k) as writer,
    ):
        for prediction in predictor.predict(images):
            count += 1
            console.status(f"{count:,} images")
            if prediction.probabilities is None:
                rejected += 1
                writer.reject(prediction.id, prediction.error)
            else:
                writer.write([prediction.id], prediction.probabilities[None])
    if as_json:
        print_json({"predicted": count - rejected, "rejected": rejected, "output": str(output)})
    elif output is not None and not quiet:
        left_out = f", {rejected:,} rejected" if rejected else ""
        click.echo(f"{count - rejected:,} images classified{left_out}: {shown(output.absolute())}")
    return 3 if rejected else 0
