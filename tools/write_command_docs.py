"""Write docs/commands.md from the commands' own help, as an 80-column terminal shows it."""

from __future__ import annotations

from pathlib import Path

from embedcache.cli.main import COMMANDS, cli

__all__ = ["command_docs"]

_TARGET = Path(__file__).parent.parent / "docs" / "commands.md"

_COLUMNS = 78
"""What click uses of 80."""

_HEAD = """# Commands

<!-- Written by tools/write_command_docs.py; `make check` compares. -->

Every command answers `--help`, and most take `--json` for scripts and `--config FILE.toml`
for defaults. Results go to standard output, notes and progress to standard error.
"""


def command_docs() -> str:
    """The whole page."""
    group = cli.make_context("embedcache", [], resilient_parsing=True, terminal_width=_COLUMNS)
    parts = [_HEAD, _section("embedcache", cli.get_help(group))]
    for name in COMMANDS:
        command = cli.get_command(group, name)
        assert command is not None
        context = command.make_context(name, [], parent=group, resilient_parsing=True)
        parts.append(_section(f"embedcache {name}", command.get_help(context)))
    return "\n".join(parts)


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n```\n{text.rstrip()}\n```\n"


if __name__ == "__main__":
    _TARGET.write_text(command_docs(), encoding="utf-8")
