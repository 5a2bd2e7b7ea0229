"""docs/commands.md is what the commands say of themselves."""

import runpy
from pathlib import Path

import pytest

from embedcache.cli.main import COMMANDS

_ROOT = Path(__file__).parents[2]
_PAGE = _ROOT / "docs" / "commands.md"


def test_the_page_is_written_from_the_commands_help(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a change: `python tools/write_command_docs.py`."""
    monkeypatch.setenv("NO_COLOR", "1")
    tool = runpy.run_path(str(_ROOT / "tools" / "write_command_docs.py"))
    assert _PAGE.read_text(encoding="utf-8") == tool["command_docs"]()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme_and_on_the_page(name: str) -> None:
    """Under its full name."""
    assert f"`embedcache {name}" in (_ROOT / "README.md").read_text(encoding="utf-8")
    assert f"\n## embedcache {name}\n" in _PAGE.read_text(encoding="utf-8")
