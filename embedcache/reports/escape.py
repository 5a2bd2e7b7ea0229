"""`printable`: names from files and folders, made safe to show on a terminal."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    r"""Escape every character that is not shown as itself, on one line.

    Control characters, newlines, undecodable bytes (surrogate escapes), and
    invisible or direction-changing characters become `\n`, `\x1b`, `\u202e`, ….
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # an undecodable byte, as `os.fsdecode` carries it
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")
