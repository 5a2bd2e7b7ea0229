"""Near duplicates across the sides of a split, as plain text."""

from __future__ import annotations

import textwrap

from embedcache.heads.row_records import NearDuplicates
from embedcache.reports.escape import printable

__all__ = ["near_lines"]

_MOST_LISTED = 5


def near_lines(found: NearDuplicates | None, width: int) -> list[str]:
    """How many pairs are fitted and judged by one head, and the most similar ones."""
    if found is None or not found.count:
        return []
    at_least = "" if found.is_complete else "at least "
    pairs = "1 near duplicate" if found.count == 1 else f"{found.count} near duplicates"
    texts = [
        f"{at_least}{pairs} on both sides: the score may be too good"
        + ("" if found.together else " (--keep-duplicates-together)")
    ]
    for pair in found.pairs[:_MOST_LISTED]:
        seen = "" if pair.difference is not None else ", pictures not there to confirm"
        texts.append(
            f"near: {printable(pair.first)} = {printable(pair.second)}, "
            f"cosine {pair.cosine:.3f}{seen}"
        )
    # Names and options are to be copied: no break within them.
    wrapped = (
        textwrap.wrap(text, width, subsequent_indent="  ", break_on_hyphens=False) for text in texts
    )
    return [line for lines in wrapped for line in lines]
