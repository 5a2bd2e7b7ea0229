"""What a process holds and a folder contains: to see that use leaves nothing behind."""

from __future__ import annotations

import gc
import os
import resource
import threading
from collections.abc import Callable
from pathlib import Path


def resident() -> int:
    """Bytes of memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def names(folder: Path) -> list[str]:
    """Every path below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def soak(use: Callable[[range], object], cycles: int, left: Callable[[], list[str]]) -> int:
    """Use something for a while and then as long again.

    Args:
        use: Goes through the cycles of these numbers.
        cycles: How many at first, and then again.
        left: What lies in the folders that cycles are not allowed to add to.

    Returns:
        The bytes that memory grew by in the second half.
    """
    use(range(cycles))
    gc.collect()
    before = left(), _handles(), threading.active_count()
    held = resident()
    use(range(cycles, 2 * cycles))
    gc.collect()
    assert (left(), _handles(), threading.active_count()) == before
    return resident() - held


def _handles() -> int:
    return len(os.listdir("/proc/self/fd"))
