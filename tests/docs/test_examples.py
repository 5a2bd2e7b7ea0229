"""What the pages show works as shown."""

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from command import Command
from pages import ROOT, blocks, command_lines, spans

from embedcache.cli.main import COMMANDS, cli

_README = ROOT / "README.md"
_PAGES = [_README, ROOT / "docs" / "architecture.md", ROOT / "docs" / "cache-format.md"]
_LINES = [line for page in _PAGES for line in command_lines(page)]
_SPANS = [
    span
    for page in [*_PAGES, ROOT / "CHANGELOG.md"]
    for span in spans(page)
    if span.startswith("embedcache ")
]


def _parse(line: str) -> click.Context:
    """The command of a line with its arguments, not run.

    Raises:
        click.UsageError: It is not one that embedcache has.
    """
    name, *arguments = shlex.split(line, comments=True)[1:]
    group = click.Context(cli, info_name="embedcache", **cli.context_settings)
    command = cli.get_command(group, name)
    assert command is not None, f"no command {name}"
    return command.make_context(name, arguments, parent=group)


def test_there_are_examples() -> None:
    """The tests below have something to test."""
    assert len(_LINES) >= 6
    assert len(_SPANS) >= len(COMMANDS)


@pytest.mark.parametrize("line", dict.fromkeys(_LINES))
def test_shown_commands_parse(line: str) -> None:
    """Known commands, known options, values that they take."""
    assert _parse(line).command.name in COMMANDS


@pytest.mark.parametrize("span", dict.fromkeys(_SPANS))
def test_mentioned_commands_exist(span: str) -> None:
    """Also those within a sentence, which may leave arguments out."""
    words = span.split()
    if words[1].startswith("-"):
        return
    command = cli.get_command(click.Context(cli), words[1])
    assert command is not None, span
    known = {flag for parameter in command.params for flag in parameter.opts} | {"--help"}
    assert set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", span)) <= known


def test_commands_that_need_no_hub_run(folder: Path, run: Command) -> None:
    """In their order, with the backbone that comes by pip."""
    ran = []
    for line in dict.fromkeys(command_lines(_README)):
        context = _parse(line)
        backbone = context.params.get("backbone") or "bundled/"
        if context.command.name == "demo" or not backbone.startswith("bundled/"):
            continue  # the demo has tests of its own; other weights need a network
        run.well(*shlex.split(line)[1:])
        ran.append(context.command.name)
    assert ran[:2] == ["extract", "fit-head"]


def test_python_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The README's blocks in their order and in one namespace."""
    namespace: dict[str, Any] = {}
    python = [block for block in blocks(_README) if block.language == "python"]
    assert len(python) >= 2
    for block in python:
        code = compile("\n" * block.line + block.text, str(_README), "exec")
        exec(code, namespace)  # noqa: S102  # our own page
    out = capsys.readouterr().out
    assert "(12, 1280) float16 ('class0', 'class1', 'class2')" in out
    assert "Score(name='accuracy'" in out
    assert out.splitlines()[-1] == "(12, 1280) ['class0', 'class1', 'class2'] b'class0/000.png'"
