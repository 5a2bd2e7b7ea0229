"""docs/troubleshooting.md is what the code raises."""

import runpy
from pathlib import Path

from embedcache import errors

_ROOT = Path(__file__).parents[2]
_PAGE = _ROOT / "docs" / "troubleshooting.md"


def test_the_page_is_written_from_the_exception_tree() -> None:
    """After a change: `python tools/write_troubleshooting.py`."""
    tool = runpy.run_path(str(_ROOT / "tools" / "write_troubleshooting.py"))
    assert _PAGE.read_text(encoding="utf-8") == tool["troubleshooting_docs"]()


def test_every_error_has_its_section() -> None:
    """With its exit code."""
    page = _PAGE.read_text(encoding="utf-8")
    for name in set(errors.__all__) - {"EmbedcacheError"}:
        assert f"# {name}: exit code {getattr(errors, name).exit_code}\n" in page
