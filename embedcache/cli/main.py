"""The command line's one door: find the command, run it, turn errors into exit codes.

Commands are imported when they are asked for, and libraries when they run, so
that help costs nothing.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import click

from embedcache.errors import EmbedcacheError
from embedcache.reports.escape import printable

__all__ = ["COMMANDS", "cli", "main"]

COMMANDS = {
    "extract": "embedcache.cli.extract:extract",
    "fit-head": "embedcache.cli.fit_head:fit_head",
    "predict": "embedcache.cli.predict:predict",
    "compare": "embedcache.cli.compare:compare",
    "inspect": "embedcache.cli.inspect:inspect",
    "ls": "embedcache.cli.ls:ls",
    "verify": "embedcache.cli.verify:verify",
    "prune": "embedcache.cli.prune:prune",
    "backbones": "embedcache.cli.backbones:backbones",
    "demo": "embedcache.cli.demo:demo",
}
"""Where each command lives; in the order of a first day's work."""


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


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="embedcache", prog_name="embedcache")
def cli() -> None:
    r"""Embed labelled images once; fit classifiers on the cached features in seconds.

    \b
      embedcache extract photos/ --backbone bundled/efficientnet_lite0
      embedcache fit-head --model logreg

    The first command passes every image through a frozen backbone and writes its
    features to an HDF5 cache. The second fits and evaluates a classifier on them,
    again and again, without the backbone.

    Exit codes: 0 fine, 2 usage, 3 some inputs rejected, 4 cache invalid or stale,
    5 storage, 6 locked, 130 and 143 interrupted.
    """


class _Terminated(BaseException):
    """SIGTERM, as an exception, so that temporary files are cleaned up on the way out."""


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise _Terminated


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = cli.main(args=arguments, prog_name="embedcache", standalone_mode=False)
    except EmbedcacheError as error:
        click.echo(f"error: {_shown(error)}", err=True)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("\ninterrupted; the same command goes on from here", err=True)
        code = 128 + signal.SIGINT
    except _Terminated:
        click.echo("\nterminated; the same command goes on from here", err=True)
        code = 128 + signal.SIGTERM
    except BrokenPipeError:
        # The reader, `head` for one, has seen enough; Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 128 + signal.SIGPIPE
    sys.exit(code or 0)


def _shown(error: EmbedcacheError) -> str:
    return "\n".join(printable(line) for line in str(error).split("\n"))


if __name__ == "__main__":
    main()
