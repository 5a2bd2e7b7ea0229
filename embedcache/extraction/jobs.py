"""Run jobs: what a range of the plan adds to the caches becomes one immutable shard.

A shard is a file of the cache's own format. It holds each newly embedded image
once; images whose features are cached already, or whose bytes another image
has, are found by their digest when the cache is assembled.
B is the batch size, D the embedding dimension.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedcache.backbones.base import Pending
from embedcache.errors import BudgetError, FeatureOverflowError, RejectedInputsError
from embedcache.extraction.files_index import FilesIndex, Stat
from embedcache.extraction.loading import Loaded
from embedcache.extraction.records import Timings
from embedcache.extraction.source import BackboneSource
from embedcache.records.identity import Numerics
from embedcache.records.manifest import NO_CODE, Manifest
from embedcache.records.rejects import Reject, RejectReason
from embedcache.records.strings import Strings
from embedcache.storage.publish import make_dir
from embedcache.store.cache import FeatureCache
from embedcache.store.contents import CacheMeta, RowTables
from embedcache.store.lookup import RowLookup
from embedcache.store.writer import write_cache

__all__ = ["JobFiles", "JobRunner", "out_of_time", "stopped_by"]

_IN_FLIGHT = 2
"""Batches given to the device before the oldest is waited for: it never runs dry."""


@dataclass(frozen=True)
class JobFiles:
    """What a job leaves behind: its shard, and the files index of what it read."""

    shard: Path
    fragment: Path


@dataclass
class _Job:
    """A shard in the making; positions count the newly embedded images from 0."""

    features: NDArray[np.floating]
    rows: list[int] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    numerics: dict[int, Numerics] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    embedding: dict[bytes, int] = field(default_factory=dict)
    copies: list[tuple[int, bytes]] = field(default_factory=list)
    batch: list[tuple[int, NDArray[np.uint8]]] = field(default_factory=list)
    flying: deque[tuple[list[int], Pending]] = field(default_factory=deque)
    stats: list[tuple[bytes, Stat, bytes]] = field(default_factory=list)


@dataclass
class JobRunner:
    """Embeds jobs of one plan.

    Attributes:
        manifest: The N samples.
        digests: (N, 32) uint8, filled in as samples are read.
        rejects: By row, filled in likewise.
        lookup: Rows that are cached; every finished shard joins it.
        source: The backbone; loaded at the first image that needs it.
        meta: The record for shards.
        timings: Where the seconds are added up.
        on_sample: Called when a sample has been taken.
        stop_at_reject: Raise at the first unreadable image.
        embedded: Images that went through the backbone.
        reused: Images whose features were cached under another name or place.
        duplicates: Images whose bytes were embedded in this run under another name.
    """

    manifest: Manifest
    digests: NDArray[np.uint8]
    rejects: dict[int, Reject]
    lookup: RowLookup
    source: BackboneSource
    meta: CacheMeta
    timings: Timings
    on_sample: Callable[[], None]
    stop_at_reject: bool = False
    embedded: int = 0
    reused: int = 0
    duplicates: int = 0

    def __post_init__(self) -> None:
        self._caches_before = len(self.lookup.caches)

    def run(self, samples: Iterable[Loaded], count: int, batch_size: int, files: JobFiles) -> None:
        """Run one job of `count` samples and publish its shard.

        Raises:
            RejectedInputsError: An image is unreadable and `stop_at_reject` is set.
            FeatureOverflowError: The stored dtype cannot hold a feature.
        """
        stored = np.dtype(self.source.spec.identity.stored_dtype)
        job = _Job(np.zeros((count, self.source.spec.dim), stored))
        for sample in self._timed(samples):
            self._take(job, sample, batch_size)
        if job.batch:
            self._submit(job)
        while job.flying:
            self._collect(job)
        self._settle_copies(job)
        started = time.perf_counter()
        # Where locks do not work, another writer may have published and cleaned up meanwhile.
        make_dir(files.shard.parent)
        FilesIndex.of(job.stats).save(files.fragment)
        if job.numerics or job.rejects:
            self._write(job, files.shard)
            self.lookup.add(FeatureCache(files.shard))
        self.timings.write += time.perf_counter() - started

    def _timed(self, samples: Iterable[Loaded]) -> Iterator[Loaded]:
        iterator = iter(samples)
        while True:
            started = time.perf_counter()
            sample = next(iterator, None)
            self.timings.wait += time.perf_counter() - started
            if sample is None:
                return
            yield sample

    def _take(self, job: _Job, sample: Loaded, batch_size: int) -> None:
        self.digests[sample.row] = np.frombuffer(sample.digest, np.uint8)
        if sample.stat is not None and any(sample.digest):
            job.stats.append((self.manifest.path(sample.row), sample.stat, sample.digest))
        # Looked up here, in order, and not only on the threads: a resumed run decides the same.
        hit = self.lookup.find(sample.digest)
        if sample.reject is not None:
            self._reject(job, sample.row, sample.reject)
        elif sample.digest in job.embedding:
            job.copies.append((sample.row, sample.digest))
        elif hit is not None:
            self.reused += hit[0] < self._caches_before
            self.duplicates += hit[0] >= self._caches_before
        else:
            assert sample.prepared is not None
            position = len(job.rows)
            job.embedding[sample.digest] = position
            job.rows.append(sample.row)
            job.digests.append(sample.digest)
            job.batch.append((position, sample.prepared))
            if len(job.batch) == batch_size:
                self._submit(job)
        self.on_sample()

    def _reject(self, job: _Job, row: int, reject: Reject) -> None:
        if self.stop_at_reject:
            raise stopped_by(reject)
        job.rejects.append(reject)
        self.rejects[row] = reject

    def _submit(self, job: _Job) -> None:
        positions = [position for position, _ in job.batch]
        started = time.perf_counter()
        pending = self.source.load().submit(np.stack([image for _, image in job.batch]))
        self.timings.forward += time.perf_counter() - started
        job.batch.clear()
        job.flying.append((positions, pending))
        if len(job.flying) >= _IN_FLIGHT:
            self._collect(job)

    def _collect(self, job: _Job) -> None:
        positions, pending = job.flying.popleft()
        started = time.perf_counter()
        features = pending.result()
        self.timings.forward += time.perf_counter() - started
        numerics = self.source.load().numerics
        self.embedded += len(positions)
        for position, vector in zip(positions, features, strict=True):
            row, digest = job.rows[position], job.digests[position]
            id_ = self.manifest.ids[row]
            if not np.isfinite(vector).all():
                detail = "the backbone's output is not finite"
                reason = RejectReason.NOT_FINITE
                self._reject(job, row, Reject(id_, digest, reason, detail, numerics.codec))
                continue
            job.features[position] = _stored(vector, job.features.dtype, id_)
            job.numerics[position] = numerics

    def _settle_copies(self, job: _Job) -> None:
        for row, digest in job.copies:
            position = job.embedding[digest]
            if position in job.numerics:
                self.duplicates += 1
            else:
                first = self.rejects[job.rows[position]]
                self._reject(job, row, replace(first, id=self.manifest.ids[row]))

    def _write(self, job: _Job, path: Path) -> None:
        kept = np.array(sorted(job.numerics), np.int64)
        entries = tuple(dict.fromkeys(job.numerics[position] for position in kept))
        codes = [entries.index(job.numerics[position]) for position in kept]
        digests = b"".join(job.digests[position] for position in kept)
        tables = RowTables(
            ids=Strings.of(self.manifest.ids[job.rows[position]] for position in kept),
            sha256=np.frombuffer(digests, np.uint8).reshape(-1, 32),
            labels=np.full(len(kept), NO_CODE, np.int32),
            classes=Strings.of([]),
            split=np.zeros(len(kept), np.uint8),
            group=np.full(len(kept), NO_CODE, np.int32),
            groups=Strings.of([]),
            numerics=np.array(codes, np.uint8),
            rejects=tuple(job.rejects),
        )
        write_cache(path, tables, replace(self.meta, numerics=entries), [job.features[kept]])


def stopped_by(reject: Reject) -> RejectedInputsError:
    """The error for a caller who wants no rejects."""
    return RejectedInputsError(
        f"an input was rejected: {reject.reason.label}",
        where=os.fsdecode(reject.id),
        got=reject.detail,
        hint="without --on-error fail, rejects are recorded and the rest goes on",
    )


def out_of_time(done: int, total: int) -> BudgetError:
    """The error for a caller who had so many minutes."""
    return BudgetError(
        "the budget ran out before all images were embedded",
        got=f"{done:,} of {total:,} images",
        hint="the same command with a larger budget goes on from here",
    )


def _stored(
    vector: NDArray[np.float32], dtype: np.dtype[np.floating], id_: bytes
) -> NDArray[np.floating]:
    limit = float(np.finfo(dtype).max)  # a float16 would have `largest` rounded to it first
    largest = float(np.abs(vector).max())
    if largest > limit:
        raise FeatureOverflowError(
            f"a feature does not fit into {dtype}",
            where=os.fsdecode(id_),
            got=f"{largest:.4g}",
            expected=f"at most {limit:.4g}",
            hint="run the same command with --store-dtype float32",
        )
    return vector.astype(dtype)
