"""Notes and progress: for people at a terminal, and never in the way of others."""

import io
import sys
from pathlib import Path

import pytest

from embedcache.cli.console import Console, print_json, shown, watch


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _terminal(monkeypatch: pytest.MonkeyPatch) -> _Terminal:
    """Standard error as a terminal of 80 columns; no fixture, as pytest would put its own back."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    stream = _Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def _work(console: Console) -> None:
    console.status("choosing C")
    console.note("[bold]a note\x1b[31m")
    console.progress(0, 1000)
    console.progress(400, 1000)
    console.progress(1000, 1000)


def test_a_terminal_gets_progress_with_numbers_and_notes_above(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bar leaves no trace but control codes; notes are neither markup nor codes."""
    terminal = _terminal(monkeypatch)
    with watch(quiet=False) as console:
        _work(console)
    text = terminal.getvalue()
    assert "1,000/1,000" in text
    assert "[bold]a note\\x1b[31m" in text


def test_progress_says_rate_and_time_left() -> None:
    """By the clock of the last samples: 400 images in 4 s, 600 to go."""
    from rich.progress import Progress

    now = 0.0
    bar = Progress(get_time=lambda: now)
    console = Console(quiet=False, bar=bar)
    for done in range(0, 401, 100):
        console.progress(done, 1000)
        now += 1.0
    fields = bar.tasks[0].fields
    assert fields["text"] == "400/1,000  100/s"
    assert fields["left"] == "0:00:06 left"


def test_without_a_terminal_there_are_notes_only(capsys: pytest.CaptureFixture[str]) -> None:
    """One line each, on standard error."""
    with watch(quiet=False) as console:
        _work(console)
    assert capsys.readouterr() == ("", "[bold]a note\\x1b[31m\n")


def test_quiet_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing at all, on a terminal or not."""
    with watch(quiet=True) as console:
        _work(console)
    assert capsys.readouterr() == ("", "")


def test_quiet_is_silent_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing at all."""
    terminal = _terminal(monkeypatch)
    with watch(quiet=True) as console:
        _work(console)
    assert terminal.getvalue() == ""


def test_paths_are_quoted_and_escaped() -> None:
    """As a shell takes them, and safe to show."""
    assert shown(Path("/a/b.h5")) == "/a/b.h5"
    assert shown(Path("/a b/c.h5")) == "'/a b/c.h5'"
    assert "\x1b" not in shown(Path("/a\x1b[31m"))


def test_json_keeps_names_readable(capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and letters of any alphabet as they are."""
    print_json({"name": "größe"})
    assert capsys.readouterr().out == '{"name": "größe"}\n'
