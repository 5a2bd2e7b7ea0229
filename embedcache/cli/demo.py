"""`embedcache demo`: the main job, twice, on real pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from embedcache.cli.options import cache_dir_option, runs_dir_option

__all__ = ["demo"]


@click.command()
@cache_dir_option
@runs_dir_option
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, mps.")
@click.option("--prepare", is_flag=True, help="Only write the manifest that the recipes use.")
def demo(*, cache_dir: Path | None, runs_dir: Path | None, device: str, prepare: bool) -> None:
    """Tell defective solar cells from sound ones: 2,624 real pictures, a real backbone.

    Extracts, fits a head, then does both again to show that nothing is computed
    twice. Needs `pip install 'embedcache[demo]'`; the pictures are licensed
    CC BY-NC-SA 4.0.
    """
    from embedcache.store.catalog import cache_root
    from embedcache.workflows.demo import prepare_demo

    data = prepare_demo(cache_root(cache_dir))
    if prepare:
        click.echo(f"manifest: {data.manifest}")
        return
    flags = [*_flag("--cache-dir", cache_dir), *_flag("--device", device)]
    extract = ["extract", str(data.manifest), "--root", str(data.root), *flags]
    runs = _flag("--runs-dir", runs_dir)
    fit = ["fit-head", *_flag("--cache-dir", cache_dir), *runs]
    click.echo("2,624 pictures of solar cells, and a backbone that never saw one.\n")
    _run("1. Pass every picture through the backbone, once", extract)
    _run("2. Fit and evaluate a classifier on the cached features", fit)
    _run("3. Extract again: nothing is computed twice", extract)
    _run("4. Fit another head: the backbone is not needed", [*fit, "--metric", "accuracy"])


def _flag(name: str, value: Any) -> list[str]:
    return [] if value is None else [name, str(value)]


def _run(title: str, arguments: list[str]) -> None:
    from embedcache.cli.main import cli

    shown = " ".join(f"'{word}'" if " " in word else word for word in arguments)
    click.secho(title, bold=True)
    click.echo(f"$ embedcache {shown}")
    cli.main(args=arguments, prog_name="embedcache", standalone_mode=False)
    click.echo()
