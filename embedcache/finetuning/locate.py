"""Where the images of a cache lie today.

n is the number of rows that are looked for.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedcache.datasets.options import SourceOptions
from embedcache.datasets.source import open_source
from embedcache.errors import InputRejectedError, UsageError
from embedcache.extraction.loading import default_workers
from embedcache.inputs.files import read_regular
from embedcache.records.strings import Strings
from embedcache.store.cache import FeatureCache

__all__ = ["locate"]


def locate(cache: FeatureCache, rows: NDArray[np.int64], source: Path | None) -> Strings:
    """Absolute paths of the images of some rows, n of them.

    With a source, an image is looked for under its old name there, and if any is not, by the
    digest of its bytes. Labels and splits of the source are of no interest: the cache's and the
    run's count.

    Args:
        cache: The cache.
        rows: (n,) int64.
        source: Folder or table that the images are in now; None for where they were.

    Raises:
        UsageError: An image is nowhere.
    """
    root = cache.meta.root if source is None else os.path.abspath(source)
    paths = [os.path.join(os.fsencode(root), cache.ids[int(row)]) for row in rows]
    missing = [place for place, path in enumerate(paths) if not os.path.isfile(path)]
    if missing and source is not None:
        found = _by_digest(source)
        for place in list(missing):
            moved = found.get(cache.sha256[rows[place]].tobytes())
            if moved is not None:
                paths[place] = moved
                missing.remove(place)
    if missing:
        raise UsageError(
            f"{len(missing)} of {len(paths)} images are not there",
            where=root,
            got=f"no {os.fsdecode(paths[missing[0]])}",
            hint="--source DIR names the place that they were moved to; embedcache extract "
            "brings the cache up to date",
        )
    return Strings.of(paths)


def _by_digest(source: Path) -> dict[bytes, bytes]:
    """Paths of all images of a source by the SHA-256 of their bytes."""
    manifest = open_source(source, SourceOptions(labels="none"))
    paths = [manifest.path(index) for index in range(len(manifest))]
    with ThreadPoolExecutor(default_workers()) as threads:
        return dict(zip(threads.map(_digest, paths), paths, strict=True))


def _digest(path: bytes) -> bytes:
    try:
        return hashlib.sha256(read_regular(path)).digest()
    except InputRejectedError:
        return b""  # unreadable: no image's digest
