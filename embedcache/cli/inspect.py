"""`embedcache inspect`: what is in a cache."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedcache.cli.console import print_json
from embedcache.cli.options import cache_dir_option, common_options
from embedcache.reports.escape import printable

if TYPE_CHECKING:
    from embedcache.store.cache import FeatureCache

__all__ = ["inspect"]


@click.command()
@click.argument("cache", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--rejects", is_flag=True, help="List the inputs that have no row, and why.")
@click.option("--rows", is_flag=True, help="List the rows: id, label, split, digest.")
@cache_dir_option
@common_options
def inspect(
    cache: Path | None,
    *,
    rejects: bool,
    rows: bool,
    cache_dir: Path | None,
    as_json: bool,
    quiet: bool,  # noqa: ARG001  # there is nothing to silence
) -> None:
    """Show what CACHE holds, and where it came from.

    That is: identity, numerics, environment, counts per class and split, rejects by
    reason, size and licences. Without CACHE, the newest one.
    """
    from embedcache.reports.cache_summary import cache_text, describe_cache
    from embedcache.store.cache import FeatureCache
    from embedcache.store.catalog import cache_root, choose_cache

    opened = FeatureCache(cache or choose_cache(cache_root(cache_dir), "inspect"))
    if as_json:
        about = describe_cache(opened)
        if rejects:
            about["reject_list"] = _reject_list(opened)
        if rows:
            about["row_list"] = _row_list(opened)
        print_json(about)
    elif rejects:
        for reject in _reject_list(opened):
            click.echo(
                f"{printable(reject['id'])}: {reject['reason']}: {printable(reject['detail'])}"
            )
    elif rows:
        click.echo("id\tlabel\tsplit\tsha256")
        for row in _row_list(opened):
            values = (row["id"], _label_text(row), row["split"], row["sha256"])
            click.echo("\t".join(printable(value) for value in values))
    else:
        click.echo(cache_text(opened))


def _reject_list(cache: FeatureCache) -> list[dict[str, str]]:
    import os

    return [
        {
            "id": os.fsdecode(reject.id),
            "reason": reject.reason.label,
            "detail": reject.detail,
            "sha256": reject.digest.hex(),
        }
        for reject in cache.rejects
    ]


def _label_text(row: dict[str, Any]) -> str:
    """A row's label, or its labels as `--label-separator '|'` reads them; empty for unlabelled."""
    label = row["label"]
    if isinstance(label, list):
        return "|".join(label) or "|"
    return label or ""


def _row_list(cache: FeatureCache) -> list[dict[str, Any]]:
    from embedcache.records.label_arrays import labelled
    from embedcache.records.manifest import SPLITS

    has_label = labelled(cache.y)
    return [
        {
            "id": cache.ids.text(row),
            "label": _label(cache, row) if has_label[row] else None,
            "split": SPLITS[cache.split[row]],
            "sha256": cache.sha256[row].tobytes().hex(),
        }
        for row in range(len(cache))
    ]


def _label(cache: FeatureCache, row: int) -> str | list[str]:
    """The name of a row's class, or the names of several."""
    import numpy as np

    if cache.is_multilabel:
        return [cache.classes[code] for code in np.flatnonzero(cache.y[row])]
    return cache.classes[int(cache.y[row])]
