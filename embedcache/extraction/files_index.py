"""`FilesIndex`: the digest of a file that has not changed since it was last read.

The index only saves reading. It is disposable, checksummed, and believed only
where the file system keeps a change time that nobody can set back.
N is the number of entries.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from embedcache.records.strings import Strings
from embedcache.storage.digests import DIGEST_BYTES
from embedcache.storage.publish import write_atomic

__all__ = ["FilesIndex", "Stat", "settled_stat", "stat_of"]

_MAGIC = b"embedcache files index 1\n"
_YOUNG_NS = 2_000_000_000
"""Nanoseconds. A file may change twice within one tick of its file system's clock
(2 s on the coarsest), so one that was read sooner after a change proves nothing."""

_TRUSTED_FILE_SYSTEMS = {
    "apfs", "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "hfs", "overlay", "tmpfs", "ufs",
    "xfs", "zfs",
}  # fmt: skip
"""Local file systems with a change time (ctime) that moves with every write."""

Stat = tuple[int, int, int, int, int]
"""Device, inode, size in bytes, mtime and ctime in nanoseconds."""


def stat_of(status: os.stat_result) -> Stat:
    """What identifies one state of a file."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def settled_stat(path: bytes) -> Stat | None:
    """A file's state, if every later change is sure to show in it; ask before reading the file.

    `None` where the file changed just now, where its file system has no reliable
    change time, and where there is no file: reading it will say why.
    """
    try:
        stat = stat_of(os.stat(path))
    except (OSError, ValueError):
        return None
    is_old = time.time_ns() - max(stat[3], stat[4]) > _YOUNG_NS
    return stat if is_old and _is_trusted(stat[0]) else None


@lru_cache
def _is_trusted(device: int) -> bool:
    if sys.platform != "linux":
        return True  # macOS: APFS and HFS+ both keep ctime
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return False
    for line in lines:
        left, _, right = line.partition(" - ")
        if left.split()[2] == number:
            return right.split()[0] in _TRUSTED_FILE_SYSTEMS
    # Btrfs and overlay show files under device numbers that no mount has.
    return any(" - btrfs " in line or " - overlay " in line for line in lines)


@dataclass(frozen=True, eq=False)
class FilesIndex:
    """Digests by path and stat.

    Attributes:
        paths: N absolute paths.
        stats: (N, 5) int64, see `Stat`.
        digests: (N, 32) uint8.
    """

    paths: Strings
    stats: NDArray[np.int64]
    digests: NDArray[np.uint8]

    @classmethod
    def of(cls, entries: Iterable[tuple[bytes, Stat, bytes]]) -> FilesIndex:
        """An index of (path, stat, digest), each stat from `settled_stat`."""
        entries = list(entries)
        digests = b"".join(digest for _, _, digest in entries)
        return cls(
            Strings.of(path for path, _, _ in entries),
            np.array([_signed(stat) for _, stat, _ in entries], np.int64).reshape(-1, 5),
            np.frombuffer(digests, np.uint8).reshape(-1, DIGEST_BYTES),
        )

    @classmethod
    def merge(cls, parts: Iterable[FilesIndex]) -> FilesIndex:
        """All entries; of several for one path the last."""
        parts = list(parts)
        if not parts:
            return cls.of([])
        paths = Strings.concatenate([part.paths for part in parts])
        keys = _path_keys(paths, len(paths))
        # The first of each key in reverse is its last entry. Should two paths share a key,
        # one is forgotten, and read again.
        last = len(keys) - 1 - np.unique(keys[::-1], return_index=True)[1]
        keep = np.sort(last)
        stats = np.concatenate([part.stats for part in parts])
        digests = np.concatenate([part.digests for part in parts])
        return cls(paths.take(keep), stats[keep], digests[keep])

    @classmethod
    def load(cls, path: Path) -> FilesIndex:
        """The index in a file; an empty one if the file is missing or damaged in any way."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            data = path.read_bytes()
            head, payload = data[: len(_MAGIC) + 8], data[len(_MAGIC) + 8 :]
            if head != _MAGIC + xxhash.xxh3_64_digest(payload):
                return cls.of([])
            arrays = load(payload)
            index = cls(
                Strings(arrays["path_data"], arrays["path_offsets"]),
                arrays["stats"],
                arrays["digests"],
            )
        except (OSError, KeyError, SafetensorError):
            return cls.of([])
        return index

    def save(self, path: Path) -> None:
        """Write the index atomically.

        Raises:
            StorageError: The disk is full or the folder not writable.
        """
        from safetensors.numpy import save

        payload = save(
            {
                "path_data": self.paths.data,
                "path_offsets": self.paths.offsets,
                "stats": self.stats,
                "digests": self.digests,
            }
        )
        write_atomic(path, _MAGIC + xxhash.xxh3_64_digest(payload) + payload)

    def __len__(self) -> int:
        return len(self.paths)

    def known_digests(
        self, paths: Iterable[bytes], count: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Digests of the files that have not changed.

        Args:
            paths: `count` absolute paths.
            count: M.

        Returns:
            Digests, (M, 32) uint8, and whether each is known, (M,) bool.
        """
        digests = np.zeros((count, DIGEST_BYTES), np.uint8)
        known = np.zeros(count, bool)
        if not len(self):
            return digests, known
        keys = _path_keys(self.paths, len(self))
        order = np.argsort(keys)
        for target, path in enumerate(paths):
            place = np.searchsorted(keys, _path_key(path), sorter=order)
            position = int(order[min(int(place), len(order) - 1)])
            if self.paths[position] != path:
                continue
            try:
                stat = stat_of(os.stat(path))
            except OSError:
                continue
            if _signed(stat) == tuple(self.stats[position].tolist()):
                digests[target], known[target] = self.digests[position], True
        return digests, known


def _path_key(path: bytes) -> np.uint64:
    return np.uint64(xxhash.xxh3_64_intdigest(path))


def _path_keys(paths: Iterable[bytes], count: int) -> NDArray[np.uint64]:
    """A number for each path: sorted, they find a path in 8 bytes a row; a dict needs 200."""
    return np.fromiter((_path_key(path) for path in paths), np.uint64, count)


def _signed(stat: Stat) -> tuple[int, ...]:
    # Inode and device numbers are unsigned 64-bit numbers on some systems.
    return tuple(value - (1 << 64) if value >= 1 << 63 else value for value in stat)
