"""`RowLookup`: find the row that holds the features of given bytes, in any open cache.

N is the number of rows in all caches together; memory is 24 bytes a row.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from embedcache.store.cache import FeatureCache

__all__ = ["RowLookup"]

_MERGE_AT = 16
"""Sorted runs before they are merged: a search visits each, a merge sorts all."""


@dataclass
class _Run:
    """Sorted digest prefixes, (N,) uint64, with the cache and row of each."""

    prefix: NDArray[np.uint64]
    cache: NDArray[np.int32]
    row: NDArray[np.int64]


def _prefix(digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return np.ascontiguousarray(digests[:, :8]).view("<u8").reshape(-1)


@dataclass
class RowLookup:
    """Rows by the SHA-256 of their input, over caches of one identity."""

    caches: list[FeatureCache] = field(default_factory=list)
    _runs: list[_Run] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(len(run.prefix) for run in self._runs)

    def add(self, cache: FeatureCache) -> None:
        """Offer the undamaged rows of `cache`."""
        sound = np.ones(len(cache), bool)
        sound[cache.damaged_rows()] = False
        rows = np.flatnonzero(sound)
        prefix = _prefix(cache.sha256[rows])
        number = np.full(len(rows), len(self.caches), np.int32)
        self.caches.append(cache)
        # Published as one new object: threads that search meanwhile see the old list or the new.
        runs = [*self._runs, _sorted(prefix, number, rows)]
        if len(runs) > _MERGE_AT:
            runs = [
                _sorted(
                    np.concatenate([run.prefix for run in runs]),
                    np.concatenate([run.cache for run in runs]),
                    np.concatenate([run.row for run in runs]),
                )
            ]
        self._runs = runs

    def find(self, digest: bytes) -> tuple[int, int] | None:
        """Number of the cache in `caches` and its row, or `None`."""
        key = np.frombuffer(digest, "<u8", 1)
        for run in self._runs:
            position = int(np.searchsorted(run.prefix, key[0]))
            while position < len(run.prefix) and run.prefix[position] == key[0]:
                cache, row = int(run.cache[position]), int(run.row[position])
                if self.caches[cache].sha256[row].tobytes() == digest:
                    return cache, row
                position += 1
        return None

    def find_all(self, digests: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Number of the cache and row of each of M digests, (M, 32) uint8; -1 where unknown."""
        caches = np.full(len(digests), -1, np.int32)
        rows = np.full(len(digests), -1, np.int64)
        collided = np.zeros(len(digests), bool)
        keys = _prefix(digests)
        for run in self._runs:
            if not len(run.prefix):
                continue
            position = np.minimum(np.searchsorted(run.prefix, keys), len(run.prefix) - 1)
            match = (run.prefix[position] == keys) & (caches < 0)
            for number in np.unique(run.cache[position[match]]):
                mine = np.flatnonzero(match & (run.cache[position] == number))
                candidates = run.row[position[mine]]
                same = np.all(self.caches[number].sha256[candidates] == digests[mine], axis=1)
                caches[mine[same]], rows[mine[same]] = number, candidates[same]
                collided[mine[~same]] = True
        for target in np.flatnonzero(collided & (caches < 0)):
            # Two digests with one prefix: the first of them was not the one.
            found = self.find(digests[target].tobytes())
            if found is not None:
                caches[target], rows[target] = found
        return caches, rows


def _sorted(prefix: NDArray[np.uint64], cache: NDArray[np.int32], row: NDArray[np.int64]) -> _Run:
    order = np.argsort(prefix, kind="stable")
    return _Run(prefix[order], cache[order], row[order])
