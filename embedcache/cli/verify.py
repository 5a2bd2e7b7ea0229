"""`embedcache verify`: check a cache against its sums, its images and its golden record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from embedcache.cli.console import print_json, shown, watch
from embedcache.cli.options import cache_dir_option, common_options, device_option, seed_option
from embedcache.reports.escape import printable

if TYPE_CHECKING:
    from embedcache.workflows.verify import Verification

__all__ = ["verify"]


@click.command()
@click.argument("cache", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option(
    "--rows",
    type=click.IntRange(min=0),
    default=8,
    show_default=True,
    metavar="N",
    help="Random rows to embed again from their images.",
)
@seed_option("the choice of rows")
@click.option(
    "--repair",
    is_flag=True,
    help="Embed damaged rows again, and only those; flip a flipped bit of a table back.",
)
@click.option(
    "--drop-lost",
    is_flag=True,
    help="With --repair: leave out damaged rows whose images are gone or have changed.",
)
@device_option
@cache_dir_option
@common_options
def verify(
    cache: Path | None,
    *,
    rows: int,
    seed: int,
    repair: bool,
    drop_lost: bool,
    device: str,
    cache_dir: Path | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Check CACHE: every sum, some rows, the golden record.

    Rows and golden record are recomputed, where the images and the backbone are
    here. Without CACHE, the newest one. Exits 4 if anything is wrong.
    """
    from embedcache.store.catalog import cache_root, choose_cache
    from embedcache.workflows import verify as workflow

    if drop_lost and not repair:
        raise click.UsageError("--drop-lost says how to repair: give --repair too.")
    path = cache or choose_cache(cache_root(cache_dir), "verify")
    repaired = None
    if repair:
        with watch(quiet=quiet or as_json) as console:
            repaired = workflow.repair(path, drop_lost=drop_lost, device=device, observer=console)
    report = workflow.verify(path, rows=rows, seed=seed, device=device)
    if as_json:
        done = {
            "repaired": repaired and repaired.embedded,
            "dropped": repaired and repaired.dropped,
            "tables": repaired and repaired.tables,
        }
        print_json({**report.to_json(), **done})
    else:
        if repaired is not None:
            click.echo(f"repaired: {repaired.embedded:,} images embedded again")
            for name in repaired.tables:
                click.echo(f"repaired: a flipped bit of /{name}")
            for name in repaired.dropped:
                click.echo(f"dropped: {printable(name)}")
        click.echo(_text(report))
    return 0 if report.is_sound else 4


def _text(report: Verification) -> str:
    lines = [f"{report.rows:,} rows: {shown(report.cache)}"]
    if report.damaged:
        lines += [
            f"DAMAGED: the features of {report.damaged:,} rows fail their sums",
            f"next:    embedcache verify --repair {shown(report.cache)}",
        ]
    else:
        lines.append("sums: all tables and features are as they were written")
    if report.recomputed:
        same = report.recomputed - len(report.wrong)
        lines.append(f"recomputed: {same:,} of {report.recomputed:,} rows are the same")
    lines += [f"WRONG: {printable(name)}" for name in report.wrong]
    if report.changed:
        names = ", ".join(printable(name) for name in report.changed[:3])
        lines.append(f"changed or gone since: {len(report.changed):,} of the sample ({names})")
    lines.append(f"golden record: {report.golden}")
    lines += report.notes
    return "\n".join(lines)
