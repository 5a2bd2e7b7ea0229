"""`estimate`: what an extraction would do and cost, after a short warm-up, without writing."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from embedcache.backbones.base import Backbone, BackboneRequest
from embedcache.errors import EmbedcacheError
from embedcache.extraction.loading import Loader, default_workers
from embedcache.extraction.rate import measure_rate
from embedcache.extraction.records import (
    Estimate,
    ExtractOptions,
    Observer,
    SilentObserver,
    Timings,
)
from embedcache.extraction.source import BackboneSource
from embedcache.extraction.survey import Survey, sibling_note, survey
from embedcache.extraction.workplace import index_dir, workplace
from embedcache.inputs.golden import texture
from embedcache.inputs.images import decoder_version
from embedcache.records.manifest import Manifest
from embedcache.store.catalog import cache_root
from embedcache.store.lookup import RowLookup

__all__ = ["estimate"]

_WARM_UP = 64
"""Images that are read and decoded to see how long that takes."""

_ROW_BYTES = 160
"""Bytes per row besides its features: digest, id, label, split, group, numerics."""


def estimate(
    manifest: Manifest,
    dataset: str,
    backbone: BackboneRequest | Backbone,
    options: ExtractOptions | None = None,
    observer: Observer | None = None,
) -> Estimate:
    """What `extract` would do with the same arguments.

    Args:
        manifest: The data set.
        dataset: Name of its folder under the cache root.
        backbone: A request, or a backbone that is already in memory.
        options: How.
        observer: Hears what a person should know before starting.
    """
    options, observer = options or ExtractOptions(), observer or SilentObserver()
    at = workplace(manifest, dataset, backbone, options)
    found = survey(manifest, at.place, at.work, options, decoder_version(), observer)
    spec = at.source.spec
    pending = len(found.pending)
    if pending and found.live is None:
        note = sibling_note(at.place, spec)
        if note is not None:
            observer.note(note)
    rate = 0.0
    advice: tuple[str, ...] = ()
    if pending:
        rate = _rate(found, at.source, options.workers or default_workers())
        advice = _cheaper_precision(backbone, at.source, options)
    item = 2 if spec.identity.stored_dtype == "float16" else 4
    return Estimate(
        cache=at.place.file,
        rows=len(found.manifest),
        cached=len(found.manifest) - pending - len(found.rejects),
        to_embed=pending,
        bytes=len(found.manifest) * (spec.dim * item + _ROW_BYTES),
        images_per_second=round(rate, 2),
        seconds=round(pending / rate, 1) if rate else 0.0,
        advice=advice,
    )


def _rate(found: Survey, source: BackboneSource, workers: int) -> float:
    """Images per second of the slower of decoding and the forward pass, both measured."""
    backbone = source.load()
    loader = Loader(
        manifest=found.manifest,
        lookup=RowLookup(),
        prepare=backbone.prepare,
        decoder=decoder_version(),
        content_rejects={},
        workers=workers,
        window=_WARM_UP,
        timings=Timings(),
    )
    spread = np.linspace(0, len(found.pending) - 1, min(_WARM_UP, len(found.pending)))
    rows = found.pending[np.unique(spread.astype(int))]
    started = time.perf_counter()
    for _ in loader.stream(int(row) for row in rows):
        pass
    decoding = len(rows) / (time.perf_counter() - started)
    forward = measure_rate(backbone)
    if backbone.numerics.device == "cpu":
        return 1 / (1 / decoding + 1 / forward)  # both use the same cores
    return min(decoding, forward)


def _cheaper_precision(
    backbone: BackboneRequest | Backbone, source: BackboneSource, options: ExtractOptions
) -> tuple[str, ...]:
    """What bfloat16 would gain and how far its features drift, measured, if it gains enough."""
    if not isinstance(backbone, BackboneRequest) or backbone.precision != "float32":
        return ()
    exact = source.load()
    try:
        cheap = BackboneSource(
            replace(backbone, precision="bfloat16"),
            index_dir=index_dir(cache_root(options.cache_dir)),
            device=options.device,
            batch_size=options.batch_size,
        ).load()
    except EmbedcacheError:
        return ()
    gain = measure_rate(cheap) / measure_rate(exact)
    if gain < 1.3:
        return ()
    height, width = map(int, source.spec.identity.image_size.split("x"))
    image = texture(height, width)[None]
    first, second = exact.submit(image).result()[0], cheap.submit(image).result()[0]
    norms = float(np.linalg.norm(first) * np.linalg.norm(second))
    drift = 1 - float(first @ second) / norms
    text = (
        f"--precision bfloat16 would be {gain:.1f} × faster here; its features drift by "
        f"{drift:.0e} in cosine, and it makes a cache of its own"
    )
    return (text,)
