"""`extract`: embed what is not cached yet, and publish the cache.

One process embeds at a time (a lock sees to it). Every finished job is safe;
whoever runs the same command next goes on from there.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from embedcache.backbones.base import Backbone, BackboneRequest
from embedcache.extraction.advice import bottleneck
from embedcache.extraction.assemble import assemble
from embedcache.extraction.cleanup import clean_up
from embedcache.extraction.environment import environment, utc_now
from embedcache.extraction.golden import GoldenClaim, GoldenKeeper
from embedcache.extraction.jobs import JobRunner, out_of_time, stopped_by
from embedcache.extraction.loading import Loader, default_workers
from embedcache.extraction.plan import Plan, job_rows_for
from embedcache.extraction.publication import guard_against_shrinking, publish_assembly
from embedcache.extraction.rate import measure_rate
from embedcache.extraction.records import (
    ExtractOptions,
    ExtractResult,
    Observer,
    SilentObserver,
    Timings,
)
from embedcache.extraction.survey import Survey, sibling_note, survey
from embedcache.extraction.workplace import Workplace, index_dir, workplace
from embedcache.inputs.images import decoder_version
from embedcache.records.manifest import Manifest
from embedcache.storage.locks import exclusive
from embedcache.storage.publish import make_dir
from embedcache.store.cache import FeatureCache
from embedcache.store.catalog import cache_root
from embedcache.store.contents import CacheMeta

__all__ = ["extract"]

_DEFAULT_BATCH = 32
_SMALL = 256
"""Images that are one job without measuring first how long they take."""


def extract(
    manifest: Manifest,
    dataset: str,
    backbone: BackboneRequest | Backbone,
    options: ExtractOptions | None = None,
    observer: Observer | None = None,
) -> ExtractResult:
    """Embed what is not cached yet, and publish the cache.

    Args:
        manifest: The data set.
        dataset: Name of its folder under the cache root.
        backbone: A request, or a backbone that is already in memory.
        options: How.
        observer: Hears how it goes.

    Raises:
        BudgetError: `minutes` are over; what is embedded is kept.
        LockedError: Another process extracts into the same cache.
        DriftError: This environment does not reproduce cached features.
        ShrinkError: The cache would lose many rows.
        RejectedInputsError: No image can be read, or one cannot and `on_error` is `fail`.
        StorageError: The disk is full or a folder not writable.
    """
    options, observer = options or ExtractOptions(), observer or SilentObserver()
    started = time.perf_counter()
    make_dir(cache_root(options.cache_dir))
    at = workplace(manifest, dataset, backbone, options)
    make_dir(at.place.folder)
    with exclusive(at.place.lock):
        return _Extraction(at, options, observer, started).run()


class _Extraction:
    """One extraction, under the lock."""

    def __init__(
        self, at: Workplace, options: ExtractOptions, observer: Observer, started: float
    ) -> None:
        self._at = at
        self._options = options
        self._observer = observer
        self._started = started
        self._timings = Timings()
        self._workers = options.workers or default_workers()

    def run(self) -> ExtractResult:
        at, options = self._at, self._options
        found = survey(at.manifest, at.place, at.work, options, decoder_version(), self._observer)
        if found.rejects and options.on_error == "fail":
            raise stopped_by(found.rejects[min(found.rejects)])
        rows = len(found.manifest) - len(found.rejects)
        guard_against_shrinking(found.live, rows, prune=options.prune, where=at.place.file)
        claims = map(GoldenClaim.of, found.lookup.caches)
        keeper = GoldenKeeper(at.source, claims, index_dir(at.place.root))
        keeper.check_before_reuse()
        at.source.when_loaded(keeper.check_before_embedding)
        reused = len(found.manifest) - len(found.pending) - len(found.rejects)
        runner = self._embed_pending(found, keeper)
        assembly = assemble(found.manifest, found.digests, found.rejects, found.lookup)
        writing = time.perf_counter()
        cache, published = publish_assembly(
            at.place,
            assembly,
            self._meta(keeper.record(), found.manifest),
            found.lookup,
            found.live,
            prune=options.prune,
            seen=at.source.seen,
        )
        clean_up(at.place, at.work, found.index, cache)
        self._timings.write += time.perf_counter() - writing
        return self._result(cache, reused, runner, published=published)

    def _meta(self, golden: dict[str, object], manifest: Manifest) -> CacheMeta:
        return CacheMeta(
            backbone=self._at.source.spec,
            request=self._at.source.request,
            numerics=(),
            environment=environment(),
            source=manifest.source,
            root=manifest.root,
            created=utc_now(),
            golden=golden,
        )

    # -- embedding -------------------------------------------------------------

    def _embed_pending(self, found: Survey, keeper: GoldenKeeper) -> JobRunner | None:
        if not len(found.pending):
            return None
        at = self._at
        if found.live is None:
            note = sibling_note(at.place, at.source.spec)
            if note is not None:
                self._observer.note(f"{note}: {len(found.pending):,} to embed at most")
        make_dir(at.work)
        plans = self._plans(found)
        loader = self._loader(found)
        total, done = len(found.pending), 0
        until = self._started + 60 * self._options.minutes

        def on_sample() -> None:
            nonlocal done
            done += 1
            self._observer.progress(done, total)

        first_plan = next(plans)
        runner = JobRunner(
            found.manifest,
            found.digests,
            found.rejects,
            found.lookup,
            at.source,
            self._meta(keeper.record(), found.manifest),
            self._timings,
            on_sample,
            self._options.on_error == "fail",
        )
        for plan, rows in chain([first_plan], plans):
            at.source.batch_size = plan.batch_size
            jobs = [rows[plan.job(number)] for number in plan.jobs]
            jobs = [job[job >= 0] for job in jobs]
            stream = loader.stream(int(row) for job in jobs for row in job)
            with contextlib.closing(stream):
                for number, job in enumerate(jobs):
                    if len(job):
                        if runner.embedded and time.perf_counter() > until:
                            raise out_of_time(done, total)
                        samples = islice(stream, len(job))
                        runner.run(samples, len(job), plan.batch_size, plan.files(at.work, number))
        return runner

    def _loader(self, found: Survey) -> Loader:
        batch = self._at.source.batch_size or _DEFAULT_BATCH
        return Loader(
            manifest=found.manifest,
            lookup=found.lookup,
            prepare=lambda data: self._at.source.load().prepare(data),
            decoder=decoder_version(),
            content_rejects=found.content_rejects,
            workers=self._workers,
            window=2 * batch + 2 * self._workers,
            timings=self._timings,
        )

    def _plans(self, found: Survey) -> Iterator[tuple[Plan, NDArray[np.int64]]]:
        """Plans, a stored one first, each with the rows of its ids; −1 where none is pending."""
        pending = found.pending
        stored = Plan.load(self._at.work)
        wanted = self._options.batch_size
        if (
            stored is not None
            and stored.identity == self._at.place.identity.digest
            and wanted in (None, stored.batch_size)
        ):
            row_of = {found.manifest.ids[int(row)]: int(row) for row in pending}
            rows = np.array([row_of.get(id_, -1) for id_ in stored.ids], np.int64)
            covered = rows[rows >= 0]
            if len(covered):
                self._observer.note(f"resuming: {len(covered):,} images left of an earlier run")
                yield stored, rows
                pending = np.setdiff1d(pending, covered)
        if len(pending):
            plan = self._new_plan(found, pending)
            plan.save(self._at.work)
            yield plan, pending

    def _new_plan(self, found: Survey, pending: NDArray[np.int64]) -> Plan:
        source = self._at.source
        digest = self._at.place.identity.digest
        ids = found.manifest.ids.take(pending)
        certain = not len(found.lookup) or bool(found.known[pending].any())
        if not certain and not source.is_loaded:
            # Perhaps every image is cached under another name: then torch is never needed.
            made = (entry for cache in found.lookup.caches for entry in cache.meta.numerics)
            batch = source.batch_size or next(made).batch_size
            return Plan(digest, batch, job_rows_for(0, batch), ids)
        batch = source.load().numerics.batch_size
        rate = measure_rate(source.load()) if len(pending) > _SMALL else 0.0
        row_bytes = source.spec.dim * np.dtype(source.spec.identity.stored_dtype).itemsize
        return Plan(digest, batch, job_rows_for(rate, batch, row_bytes), ids)

    def _result(
        self, cache: FeatureCache, reused: int, runner: JobRunner | None, *, published: bool
    ) -> ExtractResult:
        self._timings.total = time.perf_counter() - self._started
        embedded = runner.embedded if runner else 0
        device = self._at.source.load().numerics.device if embedded else "cpu"
        advice = bottleneck(self._timings, embedded, device, self._workers)
        return ExtractResult(
            cache=cache.path,
            rows=len(cache),
            embedded=embedded,
            reused=reused + (runner.reused if runner else 0),
            duplicates=runner.duplicates if runner else 0,
            rejected=len(cache.rejects),
            reasons=Counter(reject.reason.label for reject in cache.rejects),
            bytes=os.path.getsize(cache.path),
            published=published,
            seconds=self._timings.total,
            timings=self._timings,
            advice=() if advice is None else (advice,),
        )
