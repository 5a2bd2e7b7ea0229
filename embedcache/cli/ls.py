"""`embedcache ls`: all caches and runs, and what of them is stale."""

from __future__ import annotations

from pathlib import Path

import click

from embedcache.cli.console import print_json
from embedcache.cli.options import cache_dir_option, common_options, runs_dir_option
from embedcache.reports.escape import printable

__all__ = ["ls"]


@click.command()
@cache_dir_option
@runs_dir_option
@common_options
def ls(*, cache_dir: Path | None, runs_dir: Path | None, as_json: bool, quiet: bool) -> None:  # noqa: ARG001  # nothing to silence
    """List all caches and runs, their sizes, and what is stale."""
    from embedcache.runs.folder import runs_root
    from embedcache.storage.publish import human_bytes
    from embedcache.store.catalog import cache_root
    from embedcache.workflows.inventory import caches, runs

    root, folder = cache_root(cache_dir), runs_root(runs_dir)
    cache_entries = caches(root)
    run_entries = runs(folder, cache_entries)
    if as_json:
        print_json(
            {
                "root": str(root),
                "caches": [entry.to_json() for entry in cache_entries],
                "runs": [entry.to_json() for entry in run_entries],
            }
        )
        return
    click.echo(f"caches under {root}")
    for entry in cache_entries:
        click.echo(f"  {printable(str(entry.path.relative_to(root)))}")
        what = f"{entry.rows:,} × {entry.dim:,}, " if entry.rows else ""
        click.echo(f"    {what}{human_bytes(entry.bytes)}, {printable(entry.state)}")
    if not cache_entries:
        click.echo("  none yet; embedcache extract SOURCE makes one")
    click.echo(f"runs under {folder}")
    for run in run_entries:
        click.echo(f"  {printable(run.path.name)}")
        click.echo(f"    {human_bytes(run.bytes)}, {printable(run.state)}")
    if not run_entries:
        click.echo("  none yet; embedcache fit-head makes one")
