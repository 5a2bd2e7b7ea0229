"""Read, hash and decode samples on several threads, in order, within bounded memory.

A file is read once: the same buffer is hashed, looked up and, if its features
are not cached, decoded. Threads suffice, since reading, hashing, decoding and
resizing all leave Python's lock to others; processes would copy every image.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import InputRejectedError
from embedcache.extraction.files_index import Stat, settled_stat
from embedcache.extraction.records import Timings
from embedcache.inputs.files import read_regular
from embedcache.records.manifest import Manifest
from embedcache.records.rejects import Reject, RejectReason
from embedcache.storage.digests import DIGEST_BYTES, sha256
from embedcache.store.lookup import RowLookup

__all__ = ["Loaded", "Loader", "default_workers"]


def default_workers() -> int:
    """One thread per core that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else (os.cpu_count() or 1)


@dataclass(frozen=True, eq=False)
class Loaded:
    """One sample, read.

    Attributes:
        row: Its row in the manifest.
        stat: The file's state before it was read, `None` if nothing follows from it.
        digest: SHA-256 of its bytes; zeros if it could not be read.
        prepared: The backbone's input, (H, W, 3) uint8; `None` if it is rejected or cached.
        reject: Why there will be no row.
    """

    row: int
    stat: Stat | None
    digest: bytes
    prepared: NDArray[np.uint8] | None
    reject: Reject | None


@dataclass(frozen=True)
class Loader:
    """Reads samples of a manifest.

    Attributes:
        manifest: The samples.
        lookup: Rows that are cached; their images are not decoded.
        prepare: Encoded bytes to the backbone's input.
        decoder: Version of the decoder, for rejects.
        content_rejects: Bytes that this decoder has refused before, by digest.
        workers: Number of threads.
        window: Samples that may be read ahead.
        timings: Where the seconds are added up.
    """

    manifest: Manifest
    lookup: RowLookup
    prepare: Callable[[bytes], NDArray[np.uint8]]
    decoder: str
    content_rejects: dict[bytes, Reject]
    workers: int
    window: int
    timings: Timings

    def stream(self, rows: Iterable[int]) -> Generator[Loaded]:
        """The samples at `rows`, in that order, read ahead of their use."""
        lock = threading.Lock()
        queue: deque[Future[Loaded]] = deque()
        with ThreadPoolExecutor(self.workers, thread_name_prefix="load") as pool:
            try:
                for row in rows:
                    queue.append(pool.submit(self._load, row, lock))
                    if len(queue) > self.window:
                        yield queue.popleft().result()
                while queue:
                    yield queue.popleft().result()
            finally:
                for future in queue:
                    future.cancel()

    def _load(self, row: int, lock: threading.Lock) -> Loaded:
        id_ = self.manifest.ids[row]
        path = self.manifest.path(row)
        started = time.perf_counter()
        digest, prepared, reject = bytes(DIGEST_BYTES), None, None
        # The state before reading: if the file changes meanwhile, it never has it again.
        stat = settled_stat(path)
        try:
            data = read_regular(path)
            digest = sha256(data)
        except InputRejectedError as error:
            reject = Reject(id_, digest, RejectReason[error.reason], error.detail, self.decoder)
        read = time.perf_counter()
        if reject is None and digest in self.content_rejects:
            reject = replace(self.content_rejects[digest], id=id_)
        if reject is None and self.lookup.find(digest) is None:
            try:
                prepared = self.prepare(data)
            except InputRejectedError as error:
                reject = Reject(id_, digest, RejectReason[error.reason], error.detail, self.decoder)
        with lock:
            self.timings.read += read - started
            self.timings.decode += time.perf_counter() - read
        return Loaded(row, stat, digest, prepared, reject)
