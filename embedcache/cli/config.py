"""`--config FILE.toml`: a section for each command gives its options' defaults."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any

import click

from embedcache.errors import ConfigError

__all__ = ["config_option"]


def _apply(ctx: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
    if value is None:
        return
    from embedcache.cli.main import COMMANDS

    try:
        table = tomllib.loads(value.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError("the configuration cannot be read", where=value, got=error) from error
    for section, content in table.items():
        if section not in COMMANDS or not isinstance(content, dict):
            raise ConfigError(
                f"unknown section [{section}]",
                where=value,
                expected=f"one of [{'], ['.join(COMMANDS)}]",
            )
    assert ctx.info_name is not None
    ctx.default_map = _checked(ctx.command, table.get(ctx.info_name, {}), value)


def _checked(command: click.Command, section: dict[str, Any], path: Path) -> dict[str, Any]:
    """The section with keys as click names parameters.

    Raises:
        ConfigError: A key that the command does not have.
    """
    known = {parameter.name for parameter in command.params if parameter.name != "config"}
    values = {key.replace("-", "_"): value for key, value in section.items()}
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, sorted(filter(None, known)), n=1)
            raise ConfigError(
                f"unknown key {key!r} in section [{command.name}]",
                where=path,
                expected=near[0] if near else f"an option of embedcache {command.name} --help",
            )
    return values


config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    is_eager=True,
    expose_value=False,
    callback=_apply,
    help="TOML file whose section of this command's name gives defaults for its options.",
)
"""The option, for every command that has others."""
