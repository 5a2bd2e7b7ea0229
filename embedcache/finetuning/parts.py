"""Which part of a backbone is trained: the words for it, and how many blocks they mean.

Without torch, so that `--help` may know them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from embedcache.errors import UsageError

__all__ = ["ALL", "AUTO", "TAIL", "unfrozen_blocks"]

ALL = "all"
TAIL = "tail"
AUTO = "auto"

_LAST = re.compile(r"last-([1-9][0-9]{0,3})")


def unfrozen_blocks(unfreeze: str, boundary: str, names: Sequence[str]) -> int | None:
    """How many blocks, counted from the output, `--unfreeze` trains.

    Args:
        unfreeze: `tail`, `last-N` or `all`.
        boundary: Of the tail, the block that it begins at: its name, `last-N`, or `auto`.
        names: Of the backbone's blocks, from the input to the output.

    Returns:
        The number; None where the costs are to say where the tail begins.

    Raises:
        UsageError: Another word, or more blocks than there are.
    """
    if unfreeze == ALL:
        return len(names)
    if unfreeze != TAIL:
        return _last(f"--unfreeze {unfreeze}", unfreeze, len(names), f"{TAIL}, ", f", or {ALL}")
    if boundary == AUTO:
        return None
    if boundary in names[1:]:
        return len(names) - names.index(boundary)
    known = f", or {AUTO}, or one of {', '.join(names[1:])}"
    # The stem has nothing before it that could be cached.
    return _last(f"--boundary {boundary}", boundary, len(names) - 1, "", known)


def _last(given: str, word: str, most: int, before: str, after: str) -> int:
    match = _LAST.fullmatch(word)
    if match is None or int(match[1]) > most:
        raise UsageError(
            "not a part of this backbone",
            got=given,
            expected=f"{before}last-1 to last-{most}{after}",
        )
    return int(match[1])
