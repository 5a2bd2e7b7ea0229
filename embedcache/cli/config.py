"""`--config FILE.toml`: a section for each command gives defaults for its options.

Keys are spelled as the long flags, `image-size`, or as the arguments, `source`.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any

import click

from embedcache.errors import ConfigError

__all__ = ["config_option"]


def _apply(ctx: click.Context, _parameter: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    assert ctx.parent is not None
    assert ctx.info_name is not None
    group = ctx.parent.command
    assert isinstance(group, click.Group)
    sections = group.list_commands(ctx.parent)
    # All sections are checked, whichever command reads them: a typo shows at once.
    for section, content in _read(path).items():
        if section not in sections or not isinstance(content, dict):
            near = difflib.get_close_matches(section, sections, n=1)
            raise ConfigError(
                f"unknown section [{section}]" if section not in sections else "not a section",
                where=path,
                got=section,
                expected=f"[{near[0]}]" if near else f"one of [{'], ['.join(sections)}]",
            )
        command = group.get_command(ctx.parent, section)
        assert command is not None
        defaults = _defaults(command, section, content, path)
        if section == ctx.info_name:
            ctx.default_map = defaults


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    # The last one: brackets within brackets, by the thousand.
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError("the configuration cannot be read", where=path, got=error) from error


def _defaults(
    command: click.Command, section: str, content: dict[str, Any], path: Path
) -> dict[str, Any]:
    """The section's values by the names that click gives parameters.

    Raises:
        ConfigError: A key that the command does not have, or a value of no use to it.
    """
    parameters = {
        flag.removeprefix("--"): parameter
        for parameter in command.params
        if parameter.name != "config"
        for flag in parameter.opts
        if not flag.startswith("-") or flag.startswith("--")
    }
    defaults = {}
    for key, value in content.items():
        if key not in parameters:
            near = difflib.get_close_matches(key, parameters, n=1)
            raise ConfigError(
                f"unknown key {key!r} in section [{section}]",
                where=path,
                expected=near[0] if near else f"an option of embedcache {section} --help",
            )
        parameter = parameters[key]
        is_many = parameter.multiple or parameter.nargs != 1
        items = value if is_many and isinstance(value, list) else [value]
        if not all(isinstance(item, str | bool | int | float) for item in items):
            kinds = "text, a number, true or false"
            raise ConfigError(
                f"not a value for {key!r} in section [{section}]",
                where=path,
                got=value,
                expected=f"{kinds}, or a list of them" if is_many else kinds,
            )
        defaults[str(parameter.name)] = items if is_many else value
    return defaults


config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    is_eager=True,
    expose_value=False,
    callback=_apply,
    help="TOML file; its section [THIS-COMMAND] gives options and arguments defaults.",
)
"""The option, for every command that has others."""
