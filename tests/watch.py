"""Watch a folder as the kernel sees it: whoever opens, reads or changes a file there is noticed."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Watch"]

_OPENED, _READ, _OTHER = 0x20, 0x1, 0x2 | 0x4 | 0xC0 | 0x100 | 0x200
_NAMES = {0x1: "read", 0x2: "written", 0x4: "attributes", 0x20: "opened", 0x100: "created"}
"""Bits of inotify(7)."""


class Watch:
    """What happens to the files of a folder within a block; on Linux, elsewhere only changes.

    Unlike a hook of Python's own it also sees what libraries in C do.

    Args:
        folder: Its files themselves, not those of folders within.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor = -1

    def __enter__(self) -> Self:
        self._before = self._state()
        if sys.platform == "linux":
            libc = ctypes.CDLL(None, use_errno=True)
            self._descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
            mask = _OPENED | _READ | _OTHER
            assert libc.inotify_add_watch(self._descriptor, os.fsencode(self._folder), mask) > 0
        return self

    def events(self) -> list[str]:
        """All that happened, `opened secret`."""
        try:
            data = os.read(self._descriptor, 1 << 16) if self._descriptor >= 0 else b""
        except BlockingIOError:
            data = b""
        # Only now: this looks at the files too.
        changed = [] if self._state() == self._before else ["changed"]
        found, at = [], 0
        while at < len(data):
            _, mask, _, length = struct.unpack_from("iIII", data, at)
            name = os.fsdecode(data[at + 16 : at + 16 + length].rstrip(b"\0"))
            found.append(f"{_NAMES.get(mask & 0xFFF, hex(mask))} {name}")
            at += 16 + length
        return found + changed

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _state(self) -> dict[str, bytes]:
        # Through a FIFO nothing is read; files are compared by content.
        files = [path for path in self._folder.iterdir() if path.is_file()]
        return {path.name: path.read_bytes() for path in files}
