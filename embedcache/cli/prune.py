"""`embedcache prune`: delete what nothing refers to."""

from __future__ import annotations

from pathlib import Path

import click

from embedcache.cli.console import print_json, shown
from embedcache.cli.options import cache_dir_option, common_options, runs_dir_option

__all__ = ["prune"]


@click.command()
@click.option("--delete", "really", is_flag=True, help="Delete; without it, only list.")
@click.option(
    "--activations",
    is_flag=True,
    help="Also caches of activations: fine-tuning the tail would compute them again.",
)
@cache_dir_option
@runs_dir_option
@common_options
def prune(
    *,
    really: bool,
    activations: bool,
    cache_dir: Path | None,
    runs_dir: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """List what nothing refers to; with --delete, delete it.

    That is: temporary files whose writer is gone, shards of images that are gone,
    and caches whose source is gone and whose backbone no run uses.
    """
    from embedcache.runs.folder import runs_root
    from embedcache.storage.publish import human_bytes
    from embedcache.store.catalog import cache_root
    from embedcache.workflows.inventory import delete, leftovers

    found = leftovers(cache_root(cache_dir), runs_root(runs_dir), activations=activations)
    if really:
        for leftover in found:
            delete(leftover)
    if as_json:
        print_json({"deleted": really, "leftovers": [leftover.to_json() for leftover in found]})
        return
    if not quiet:
        for leftover in found:
            size = human_bytes(leftover.bytes)
            click.echo(f"{shown(leftover.path)} ({size}): {leftover.reason}")
    total = human_bytes(sum(leftover.bytes for leftover in found))
    count = f"{len(found):,} leftover{'s' if len(found) != 1 else ''}, {total}"
    if really:
        click.echo(f"deleted {count}")
    else:
        again = f"embedcache prune{' --activations' if activations else ''} --delete"
        click.echo(f"{count}{f'; {again} deletes them' if found else ''}")
