"""The command line's one door: find the command, run it, turn errors into exit codes.

Commands are imported when they are asked for, and libraries when they run, so
that help costs nothing.
"""

from __future__ import annotations

import difflib
import importlib
import io
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

import click

from embedcache.errors import EmbedcacheError
from embedcache.reports.escape import printable

__all__ = ["COMMANDS", "cli", "main"]

COMMANDS = {
    "run": "embedcache.cli.run:run",
    "extract": "embedcache.cli.extract:extract",
    "import": "embedcache.cli.import_:import_",
    "fit-head": "embedcache.cli.fit_head:fit_head",
    "finetune": "embedcache.cli.finetune:finetune",
    "predict": "embedcache.cli.predict:predict",
    "export": "embedcache.cli.export:export",
    "compare": "embedcache.cli.compare:compare",
    "decide": "embedcache.cli.decide:decide",
    "inspect": "embedcache.cli.inspect:inspect",
    "ls": "embedcache.cli.ls:ls",
    "verify": "embedcache.cli.verify:verify",
    "prune": "embedcache.cli.prune:prune",
    "backbones": "embedcache.cli.backbones:backbones",
    "demo": "embedcache.cli.demo:demo",
}
"""Where each command lives; in the order of a first day's work."""

_LIST_ITEM = "\n" + " " * 14
"""How errors list several things: the only line break that may stand in a field."""

_HELP = """Embed labelled images once; fit classifiers on the cached features in seconds.

\b
  embedcache extract photos/ --backbone bundled/efficientnet_lite0
  embedcache fit-head --model logreg

The first command passes every image through a frozen backbone and writes its
features to an HDF5 cache. The second fits and evaluates a classifier on them,
again and again, without the backbone.

Exit codes: 0 fine, 2 usage, 3 some inputs rejected, 4 cache invalid or stale,
5 storage, 6 locked, 130 and 143 interrupted.
"""
# Not a docstring: click's mark for a verbatim paragraph is a control character.


class _LazyGroup(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            meant = f" Did you mean {near[0]}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{meant}")
        return super().resolve_command(ctx, args)


@dataclass
class _Door:
    """What the options before the command say."""

    shows_traceback: bool = False


@click.group(
    cls=_LazyGroup,
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="embedcache", prog_name="embedcache")
@click.option(
    "--debug", is_flag=True, help="Show where in the code an error was raised, above its message."
)
@click.pass_obj
def cli(door: _Door, *, debug: bool) -> None:
    """The group of all commands."""
    door.shows_traceback = debug


class _Terminated(BaseException):
    """SIGTERM, as an exception, so that temporary files are cleaned up on the way out."""


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise _Terminated


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    signal.signal(signal.SIGTERM, _terminate)
    door = _Door()
    try:
        code = cli.main(args=arguments, prog_name="embedcache", standalone_mode=False, obj=door)
    except EmbedcacheError as error:
        if door.shows_traceback:
            frames = "".join(traceback.format_tb(error.__traceback__))
            click.echo("\n".join(map(printable, frames.splitlines())), err=True)
        click.echo(f"error: {_escaped(error)}", err=True)
        code = error.exit_code
    except click.ClickException as error:
        text = io.StringIO()
        error.show(text)
        click.echo("\n".join(map(printable, text.getvalue().splitlines())), err=True)
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        # click has ended the line that ^C is on.
        click.echo("interrupted; the same command goes on from here", err=True)
        code = 128 + signal.SIGINT
    except _Terminated:
        click.echo("\nterminated; the same command goes on from here", err=True)
        code = 128 + signal.SIGTERM
    sys.exit(code or 0)


def _escaped(error: EmbedcacheError) -> str:
    """The error's text, in which no file name can forge a line."""

    def escaped(text: str) -> str:
        return _LIST_ITEM.join(map(printable, text.split(_LIST_ITEM)))

    fields = {name: getattr(error, name) for name in ("where", "got", "expected", "hint")}
    shown = {name: escaped(text) for name, text in fields.items() if text is not None}
    return str(EmbedcacheError(escaped(error.what), **shown))


if __name__ == "__main__":
    main()
