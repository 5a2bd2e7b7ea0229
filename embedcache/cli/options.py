"""Options that several commands share, each defined once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from embedcache.cli.config import config_option

__all__ = [
    "DEFAULT_BACKBONE",
    "backbone_options",
    "cache_dir_option",
    "common_options",
    "compute_options",
    "device_option",
    "one_or_several",
    "runs_dir_option",
    "seed_option",
    "source_options",
    "target_option",
]

DEFAULT_BACKBONE = "bundled/efficientnet_lite0"
"""Its weights come by pip, so it is there without a model hub."""

_Command = TypeVar("_Command", bound=Callable[..., Any])

cache_dir_option = click.option(
    "--cache-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Cache root.  [default: EMBEDCACHE_DIR, else ./cache]",
)
runs_dir_option = click.option(
    "--runs-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of runs.  [default: EMBEDCACHE_RUNS_DIR, else ./runs]",
)
target_option = click.option(
    "--target",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="ACCURACY",
    help="Accuracy that is enough: 0.95.",
)
device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="Where the backbone runs: cpu, cuda, cuda:1, mps.",
)


def seed_option(of: str) -> Callable[[_Command], _Command]:
    """`--seed`, a whole number that every library takes.

    Args:
        of: What it is the seed of, for the help.
    """

    def check(_ctx: click.Context, _parameter: click.Parameter, seed: int) -> int:
        if not 0 <= seed < 1 << 32:
            raise click.BadParameter(f"{seed} is not between 0 and {(1 << 32) - 1}.")
        return seed

    return click.option(
        "--seed", type=int, default=0, show_default=True, callback=check, help=f"Of {of}."
    )


_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_quiet_option = click.option("-q", "--quiet", is_flag=True, help="No notes and no progress.")


def _all(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def one_or_several(
    _ctx: click.Context, _parameter: click.Parameter, names: tuple[str, ...]
) -> str | tuple[str, ...] | None:
    """An option's only value, or all of them; None where it is not given."""
    return names if len(names) > 1 else next(iter(names), None)


common_options = _all(config_option, _json_option, _quiet_option)
"""`--config`, `--json`, `--quiet`."""

source_options = _all(
    click.option(
        "--root",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder that a manifest's paths are relative to.  [default: the manifest's]",
    ),
    click.option("--path-column", metavar="NAME", help="Manifest column of image paths."),
    click.option(
        "--label-column",
        metavar="NAME",
        multiple=True,
        callback=one_or_several,
        help="Manifest column of class names. Given more than once: columns of 0 and 1, each a "
        "class of its own.",
    ),
    click.option(
        "--label-separator",
        metavar="TEXT",
        help="What stands between the names in the label column, where images have several.",
    ),
    click.option("--split-column", metavar="NAME", help="Manifest column of train, val, test."),
    click.option("--group-column", metavar="NAME", help="Manifest column of groups to keep whole."),
    click.option(
        "--labels",
        type=click.Choice(["auto", "folder", "none"]),
        default="auto",
        show_default=True,
        help="Whether folder names are class names.",
    ),
    click.option("--allow-outside", is_flag=True, help="Allow paths outside the root."),
)
"""How a folder or manifest is read."""

backbone_options = _all(
    click.option(
        "--backbone",
        metavar="NAME",
        default=DEFAULT_BACKBONE,
        show_default=True,
        help="SOURCE/MODEL[:WEIGHTS], or tuned:RUN; `embedcache backbones` lists names.",
    ),
    click.option(
        "--weights",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Local .safetensors or .pth file for the architecture.",
    ),
    click.option(
        "--image-size",
        type=click.IntRange(min=8),
        metavar="N",
        help="Input side in pixels.  [default: the weights' own]",
    ),
    click.option(
        "--pooling",
        metavar="NAME",
        help="How positions become one vector, where the model leaves a choice.",
    ),
    click.option(
        "--precision",
        type=click.Choice(["float32", "bfloat16", "float16"]),
        default="float32",
        show_default=True,
        help="Of the forward pass; part of the cache's identity.",
    ),
    click.option(
        "--store-dtype",
        type=click.Choice(["float16", "float32"]),
        default="float16",
        show_default=True,
        help="Of the features on disk.",
    ),
)
"""Which backbone, and what its features depend on."""

compute_options = _all(
    device_option,
    click.option(
        "-b",
        "--batch-size",
        type=click.IntRange(min=1),
        metavar="N",
        help="Images per forward pass.  [default: what suits the device]",
    ),
    click.option(
        "-j",
        "--num-workers",
        type=click.IntRange(min=1),
        metavar="N",
        help="Threads that read and decode.  [default: one per core]",
    ),
)
"""How fast; never part of the cache's identity."""
