"""`embedcache export`: a run as a model for other runtimes."""

from __future__ import annotations

from pathlib import Path

import click

from embedcache.cli.console import print_json, shown, watch
from embedcache.cli.options import cache_dir_option, common_options, runs_dir_option

__all__ = ["export"]


@click.command()
@click.argument("run")
@click.option(
    "--to",
    type=click.Choice(["onnx"]),
    default="onnx",
    show_default=True,
    help="Kind of model.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write.  [default: the run's name and .onnx]",
)
@cache_dir_option
@runs_dir_option
@common_options
def export(
    run: str,
    *,
    to: str,  # noqa: ARG001  # there is one kind as yet, and scripts should name it
    output: Path | None,
    cache_dir: Path | None,
    runs_dir: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write the backbone and the head of RUN as one ONNX model.

    It takes `pixels`, (batch, H, W, 3) uint8 RGB, resized and cropped as its metadata
    says, and gives `probabilities`. Before it is written, it must give the run's own
    predictions, on images of its cache where they are still there.
    """
    from embedcache.storage.publish import human_bytes
    from embedcache.workflows.export import export_onnx

    with watch(quiet=quiet or as_json) as console:
        console.status("exporting")
        result = export_onnx(run, output, cache_dir=cache_dir, runs_dir=runs_dir)
    if as_json:
        print_json(result.to_json())
        return
    click.echo(
        f"checked on {result.images} images: largest difference of a probability "
        f"{result.largest_difference:.1g}"
    )
    click.echo(f"model ({human_bytes(result.bytes)}): {shown(result.output)}")
