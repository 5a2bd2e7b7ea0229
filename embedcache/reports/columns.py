"""`columns`: a table as aligned lines of text, whatever script its names are in."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

__all__ = ["columns", "shorten"]


def columns(rows: Sequence[Sequence[str]], align: str, gap: int = 2) -> list[str]:
    """Lines of equal columns, without trailing blanks.

    Args:
        rows: Cells; the first row may be a header.
        align: `<` or `>` for each column.
        gap: Blanks between columns.
    """
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [
        (" " * gap)
        .join(
            cell + " " * (width - cell_len(cell))
            if side == "<"
            else " " * (width - cell_len(cell)) + cell
            for cell, width, side in zip(row, widths, align, strict=True)
        )
        .rstrip()
        for row in rows
    ]


def shorten(text: str, width: int) -> str:
    """The text, its end replaced by `…` where it is wider than `width` cells."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…"
