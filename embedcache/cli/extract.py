"""`embedcache extract`: fill the cache of a data set and a backbone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedcache.cli.console import print_json, shown, watch
from embedcache.cli.options import (
    backbone_options,
    cache_dir_option,
    common_options,
    compute_options,
    source_options,
)

if TYPE_CHECKING:
    from embedcache.extraction.records import Estimate, ExtractResult

__all__ = ["extract", "result_text"]


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@backbone_options
@source_options
@cache_dir_option
@click.option("--name", metavar="NAME", help="Name of the data set's folder under the root.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Only N images, spread evenly over the source.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done and how long it would take.")
@click.option("--overwrite", is_flag=True, help="Embed everything again, whatever is cached.")
@click.option(
    "--prune", is_flag=True, help="Allow the cache to lose more than a tenth of its rows."
)
@click.option("--checksum", is_flag=True, help="Read every file, even if its stat is unchanged.")
@click.option(
    "--on-error",
    type=click.Choice(["reject", "fail"]),
    default="reject",
    show_default=True,
    help="Record unreadable images and go on, or stop at the first.",
)
@click.option("--compile", "compile_", is_flag=True, help="Compile the model with torch.compile.")
@compute_options
@common_options
def extract(source: Path, *, as_json: bool, quiet: bool, dry_run: bool, **options: Any) -> int:
    """Embed the images of SOURCE, each exactly once, into the cache.

    SOURCE is a folder of class folders, the same under train/, val/ and test/, a
    folder without labels, or a CSV or Parquet manifest.

    Nothing is computed twice: images that are cached already, under any name, are
    reused, and an extraction that was interrupted goes on where it stopped.
    """
    from embedcache.workflows.extract import estimate_source, extract_source

    with watch(quiet=quiet or as_json) as console:
        if dry_run:
            estimate = estimate_source(source, observer=console, **options)
        else:
            result = extract_source(source, observer=console, **options)
    if dry_run:
        print_json(estimate.to_json()) if as_json else click.echo(_estimate_text(estimate))
        return 0
    print_json(result.to_json()) if as_json else click.echo(result_text(result))
    return 3 if result.rejected else 0


def result_text(result: ExtractResult) -> str:
    """What an extraction did, and the next command."""
    from embedcache.storage.publish import human_bytes

    rate = f" ({result.embedded / result.seconds:,.1f} images/s)" if result.embedded else ""
    parts = [f"{result.embedded:,} embedded", f"{result.reused:,} reused"]
    if result.duplicates:
        parts.append(f"{result.duplicates:,} duplicates")
    if result.rejected:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in result.reasons.most_common())
        parts.append(f"{result.rejected:,} rejected: {reasons}")
    lines = [
        f"{result.rows:,} rows: {', '.join(parts)}, in {result.seconds:.1f} s{rate}",
        *result.advice,
        f"cache ({human_bytes(result.bytes)}): {shown(result.cache)}",
    ]
    if result.rejected:
        lines.append(f"rejects: embedcache inspect --rejects {shown(result.cache)}")
    lines.append(f"next:    embedcache fit-head {shown(result.cache)}")
    return "\n".join(lines)


def _estimate_text(estimate: Estimate) -> str:
    from embedcache.storage.publish import human_bytes

    speed = (
        f", about {_duration(estimate.seconds)} at {estimate.images_per_second:,.1f} images/s"
        if estimate.to_embed
        else ""
    )
    cached, missing = f"{estimate.cached:,} cached", f"{estimate.to_embed:,} to embed at most"
    return "\n".join(
        [
            f"{estimate.rows:,} images: {cached}, {missing}{speed}",
            *estimate.advice,
            f"cache (about {human_bytes(estimate.bytes)}): {shown(estimate.cache)}",
        ]
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
