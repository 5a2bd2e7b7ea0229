"""`embedcache backbones`: which backbones there are, and which are on this machine."""

from __future__ import annotations

from dataclasses import asdict

import click

from embedcache.cli.console import print_json
from embedcache.cli.options import common_options

__all__ = ["backbones"]


@click.command()
@click.option("--search", metavar="TEXT", default="", help="Names of every source with TEXT in it.")
@click.option(
    "--most",
    type=click.IntRange(min=1),
    default=40,
    metavar="N",
    show_default=True,
    help="Names to describe; each is built without memory to count its parameters.",
)
@common_options
def backbones(*, search: str, most: int, as_json: bool, quiet: bool) -> None:
    """List backbones, and whether their weights are on this machine.

    With embedding dimension D, input size in pixels and parameters. Without
    --search, a few of each source that are known to be good.
    """
    from embedcache.backbones.listing import list_backbones, search_names

    names = search_names(search)
    rows = list_backbones(names[:most])
    left_out = max(0, len(names) - most)
    if as_json:
        print_json({"backbones": [asdict(row) for row in rows], "left_out": left_out})
        return
    if not names:
        click.echo(f"no backbone's name contains {search!r}")
        return
    click.echo(f"{'name':<46}{'D':>6}{'input':>9}{'params':>10}  here")
    for row in rows:
        parameters = f"{row.parameters / 1e6:,.1f} M"
        here = "yes" if row.is_local else "no"
        click.echo(f"{row.name:<46}{row.dim:>6,}{row.image_size:>9}{parameters:>10}  {here}")
    if left_out and not quiet:
        click.echo(f"and {left_out:,} more names; --most N describes more", err=True)
