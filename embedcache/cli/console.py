"""What a person sees: notes and progress on standard error, results on standard output."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedcache.reports.escape import printable

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Console", "print_json", "shown", "watch"]


class Console:
    """Notes and a progress bar; silent where nobody looks.

    Args:
        quiet: No notes either.
        bar: The progress display, if standard error is a terminal.
    """

    def __init__(self, *, quiet: bool, bar: Progress | None = None) -> None:
        self._quiet = quiet
        self._bar = bar
        self._task = None if bar is None else bar.add_task("", total=None, text="starting", left="")

    def note(self, text: str) -> None:
        """A sentence that a person should read."""
        if self._quiet:
            return
        if self._bar is not None:
            self._bar.console.print(printable(text), markup=False, highlight=False)
        else:
            click.echo(printable(text), err=True)

    def begin(self, stage: str) -> None:
        """A new piece of work, with a bar of its own."""
        self.note(f"{stage} …")
        if self._bar is not None and self._task is not None:
            self._bar.reset(self._task, total=None, text=stage, left="")

    def status(self, text: str) -> None:
        """What is being computed, while it is."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, text=printable(text))

    def progress(self, done: int, total: int) -> None:
        """Move the bar."""
        if self._bar is None or self._task is None:
            return
        self._bar.update(self._task, completed=done, total=total)
        task = self._bar.tasks[self._task]
        # Images or steps: of steps less than one a second may be taken.
        rate = f"  {task.speed:,.{1 if task.speed < 10 else 0}f}/s" if task.speed else ""
        left = task.time_remaining
        self._bar.update(
            self._task,
            text=f"{done:,}/{total:,}{rate}",
            left="" if left is None else f"{timedelta(seconds=left)} left",
        )


@contextlib.contextmanager
def watch(*, quiet: bool) -> Iterator[Console]:
    """A console with a progress bar while the block runs, if a terminal is there to show it."""
    if quiet or not sys.stderr.isatty():
        yield Console(quiet=quiet)
        return
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("{task.fields[text]}", markup=False),
        TextColumn("{task.fields[left]}"),
        console=RichConsole(stderr=True),
        transient=True,
    ) as bar:
        yield Console(quiet=False, bar=bar)


def shown(path: Path) -> str:
    """A path as a shell takes it back, and safe on a terminal."""
    return printable(shlex.quote(str(path)))


def print_json(value: Any) -> None:
    """One JSON object on standard output."""
    click.echo(json.dumps(value, ensure_ascii=False))
