"""What a person sees: notes and progress on standard error, results on standard output."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from embedcache.reports.escape import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Console", "print_json", "watch"]


class Console:
    """Notes and a progress bar; silent where nobody looks.

    Args:
        quiet: No notes either.
        bar: The progress display, if standard error is a terminal.
    """

    def __init__(self, *, quiet: bool, bar: Progress | None = None) -> None:
        self._quiet = quiet
        self._bar = bar
        self._task: TaskID | None = None

    def note(self, text: str) -> None:
        """A sentence that a person should read."""
        if self._quiet:
            return
        if self._bar is not None:
            self._bar.console.print(printable(text), markup=False, highlight=False)
        else:
            click.echo(printable(text), err=True)

    def status(self, text: str) -> None:
        """What is being computed, while it is."""
        if self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task("", total=None, rate="")
            self._bar.update(self._task, rate=text)

    def progress(self, done: int, total: int) -> None:
        """Move the bar."""
        if self._bar is None:
            return
        if self._task is None:
            self._task = self._bar.add_task("", total=total, rate="")
        speed = self._bar.tasks[self._task].speed
        rate = f"{speed:,.0f} images/s" if speed else ""
        self._bar.update(self._task, completed=done, rate=rate)


@contextlib.contextmanager
def watch(*, quiet: bool) -> Iterator[Console]:
    """A console with a progress bar while the block runs, if a terminal is there to show it."""
    if quiet or not sys.stderr.isatty():
        yield Console(quiet=quiet)
        return
    from rich.console import Console as RichConsole
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    with Progress(
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=RichConsole(stderr=True),
        transient=True,
    ) as bar:
        yield Console(quiet=False, bar=bar)


def print_json(value: Any) -> None:
    """One JSON object on standard output."""
    click.echo(json.dumps(value, ensure_ascii=False))
