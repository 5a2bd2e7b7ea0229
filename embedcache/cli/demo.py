"""`embedcache demo`: the main job, twice, on real pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from embedcache.cli.console import shown, watch
from embedcache.cli.extract import result_text
from embedcache.cli.fit_head import run_text
from embedcache.cli.options import cache_dir_option, device_option, runs_dir_option

if TYPE_CHECKING:
    from embedcache.workflows.fit import Run

__all__ = ["demo"]


@click.command()
@cache_dir_option
@runs_dir_option
@device_option
@click.option(
    "--prepare", is_flag=True, help="Only write the manifest that configs/elpv.toml uses."
)
def demo(*, cache_dir: Path | None, runs_dir: Path | None, device: str, prepare: bool) -> None:
    """Tell defective solar cells from sound ones, on real pictures.

    Extracts 2,624 pictures, fits a head, then does both again to show that nothing
    is computed twice. Needs `pip install 'embedcache[demo]'`; the pictures are
    licensed CC BY-NC-SA 4.0.
    """
    from embedcache.store.catalog import cache_root
    from embedcache.workflows.demo import prepare_demo
    from embedcache.workflows.extract import extract_source
    from embedcache.workflows.fit import fit_head

    manifest = prepare_demo(cache_root(cache_dir))
    if prepare:
        click.echo(f"manifest: {shown(manifest)}")
        return

    def run_extract(title: str) -> Path:
        place = "" if device == "auto" else f" --device {device}"
        _announce(title, f"extract {shown(manifest)}{place}{_flag('--cache-dir', cache_dir)}")
        with watch(quiet=False) as console:
            result = extract_source(manifest, observer=console, cache_dir=cache_dir, device=device)
        click.echo(result_text(result))
        return result.cache

    def run_fit(title: str, cache: Path, metric: str, flag: str = "") -> Run:
        _announce(title, f"fit-head {shown(cache)}{flag}{_flag('--runs-dir', runs_dir)}")
        with watch(quiet=False) as console:
            run = fit_head(
                cache,
                metric=metric,
                runs_dir=runs_dir,
                notify=console.note,
                progress=console.status,
            )
        click.echo(run_text(run, runs_dir))
        return run

    cache = run_extract("1. Pass every picture through the backbone, once")
    run = run_fit("2. Fit and evaluate a classifier on the cached features", cache, "log_loss")
    run_extract("3. Extract again: nothing is computed twice")
    run_fit(
        "4. Fit another head: the backbone is not needed", cache, "accuracy", " --metric accuracy"
    )
    click.echo(f"\n{_comparison(run)}")
    for what, path in (("manifest", manifest), ("cache", cache), ("run", run.path)):
        click.echo(f"{what + ':':<10}{shown(path)}")
    places = _flag("--cache-dir", cache_dir) + _flag("--runs-dir", runs_dir)
    click.echo(f"next:     embedcache run {shown(manifest)}{places}")


def _announce(title: str, command: str) -> None:
    click.secho(f"\n{title}", bold=True)
    click.echo(f"$ embedcache {command}")


def _flag(name: str, path: Path | None) -> str:
    return "" if path is None else f" {name} {shown(path)}"


def _comparison(run: Run) -> str:
    """The score beside the published ones."""
    from embedcache.workflows.demo import PUBLISHED

    assert run.report is not None
    accuracy = run.report.evaluation.score("accuracy")
    assert accuracy.value is not None
    assert accuracy.interval is not None
    low, high = 100 * accuracy.interval.low, 100 * accuracy.interval.high
    lines = [
        "Accuracy on a quarter of the cells, held out",
        f"  {100 * accuracy.value:5.2f} %  here, frozen backbone  [{low:.1f}, {high:.1f}]",
    ]
    lines += [f"  {value:5.2f} %  published: {name}" for name, value in PUBLISHED]
    return "\n".join(lines)
