"""`embedcache import`: a cache of features that were made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedcache.cli.console import print_json, shown, watch
from embedcache.cli.options import cache_dir_option, common_options

if TYPE_CHECKING:
    from embedcache.workflows.import_features import ImportResult

__all__ = ["import_"]

_COLUMNS = ("id_column", "label_column", "split_column", "group_column", "digest_column")


@click.command("import")
@click.argument("features", type=click.Path(path_type=Path))
@click.option(
    "--backbone-name",
    metavar="TEXT",
    required=True,
    help="What made the features, and how. Heads refuse features of any other name.",
)
@click.option(
    "--labels",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV or Parquet table: one row for each row of features, in their order.",
)
@click.option("--id-column", metavar="NAME", help="Its column of ids.  [default: id, path, …]")
@click.option("--label-column", metavar="NAME", help="Its column of class names.")
@click.option("--split-column", metavar="NAME", help="Its column of train, val, test.")
@click.option("--group-column", metavar="NAME", help="Its column of groups to keep whole.")
@click.option(
    "--digest-column",
    metavar="NAME",
    help="Its column of the images' SHA-256, hexadecimal: joins the rows with other caches.",
)
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that ids are relative to, where they are paths.  [default: the table's]",
)
@click.option(
    "--store-dtype",
    type=click.Choice(["float16", "float32"]),
    default="float16",
    show_default=True,
    help="Of the features on disk.",
)
@cache_dir_option
@click.option("--name", metavar="NAME", help="Name of the data set's folder under the root.")
@click.option(
    "--prune", is_flag=True, help="Allow the cache to lose more than a tenth of its rows."
)
@common_options
def import_(features: Path, *, as_json: bool, quiet: bool, **options: Any) -> int:
    """Make a cache for heads of FEATURES, a .npy file.

    FEATURES holds floats of shape (rows, dimension), one row for each sample.

    What made them is not known here, so the cache promises less than one of
    `extract`: its identity is the name that you give, its rows cannot be recomputed,
    and new images cannot be classified, only new features.
    """
    from embedcache.workflows.import_features import import_features

    columns = {name: options.pop(name) for name in _COLUMNS}
    with watch(quiet=quiet or as_json) as console:
        result = import_features(features, columns=columns, **options)
        for note in result.notes:
            console.note(note)
    print_json(result.to_json()) if as_json else click.echo(_text(result))
    return 3 if result.rejected else 0


def _text(result: ImportResult) -> str:
    from embedcache.storage.publish import human_bytes

    rejected = f", {result.rejected:,} rejected: not finite" if result.rejected else ""
    lines = [
        f"{result.rows:,} rows × {result.dim:,}{rejected}"
        + ("" if result.changed else "; the cache has them already"),
        f"cache ({human_bytes(result.bytes)}): {shown(result.cache)}",
    ]
    if result.rejected:
        lines.append(f"rejects: embedcache inspect --rejects {shown(result.cache)}")
    lines.append(f"next:    embedcache fit-head {shown(result.cache)}")
    return "\n".join(lines)
