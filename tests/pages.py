"""Written pages as tests read them: code blocks of Markdown, what a browser sees of HTML."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser
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


_VOID = {"meta", "br", "img", "rect", "line", "circle", "polyline"}


class Reader(HTMLParser):
    """Collects what a browser would see, and whether every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data

    @classmethod
    def of(cls, page: bytes) -> Reader:
        """A page read to its end, every tag of which must be closed."""
        reader = cls()
        reader.feed(page.decode())
        reader.close()
        assert reader.open == []
        return reader
