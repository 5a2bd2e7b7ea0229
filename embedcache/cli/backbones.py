"""`embedcache backbones`: which backbones there are, and which are on this machine."""

from __future__ import annotations

import click

from embedcache.cli.options import common_options

__all__ = ["backbones"]


@click.command()
@click.option("--search", metavar="TEXT", help="Names that contain TEXT, of every source.")
@click.option(
    "--most",
    type=click.IntRange(min=1),
    default=40,
    show_default=True,
    help="Names to describe; each is built without memory to count its parameters.",
)
@common_options
def backbones(*, search: str | None, most: int, as_json: bool, quiet: bool) -> None:  # noqa: ARG001  # nothing to silence
    """List backbones: dimension, input size, parameters, and whether weights are here.

    Without --search, a few of each source that are known to be good.
    """
    from itertools import islice

    from embedcache.backbones.listing import list_backbones
    from embedcache.cli.console import print_json

    found = list(islice(list_backbones(search), most))
    if as_json:
        print_json([entry.to_json() for entry in found])
        return
    if not found:
        click.echo(f"no backbone's name contains {search!r}")
        return
    click.echo(f"{'name':<52}{'D':>6}{'input':>6}{'params':>8}  here")
    for entry in found:
        parameters = f"{entry.parameters / 1e6:.1f} M"
        here = "yes" if entry.is_local else "no"
        click.echo(f"{entry.name:<52}{entry.dim:>6}{entry.image_size:>6}{parameters:>8}  {here}")
