"""Code blocks of Markdown pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: What stands behind the fence, empty for a shell's commands.
        text: What stands within.
        line: Of the fence in its page, from 1.
    """

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(match[1], match[2], text.count("\n", 0, match.start()) + 1)
        for match in _FENCE.finditer(text)
    ]


def spans(page: Path) -> list[str]:
    """The code spans of a page, outside of fenced blocks."""
    return _SPAN.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))


def command_lines(page: Path) -> list[str]:
    """The `embedcache …` lines of a page's shell blocks, without their prompt."""
    shell = (block.text for block in blocks(page) if not block.language)
    lines = (line.removeprefix("$ ") for text in shell for line in text.splitlines())
    return [line for line in lines if line.startswith("embedcache ")]
