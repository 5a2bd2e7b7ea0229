"""Embed a manifest in order without keeping anything, as prediction does.

B is the number of samples in a chunk, D the embedding dimension.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from embedcache.extraction.loading import Loaded, Loader, default_workers
from embedcache.extraction.records import Timings
from embedcache.extraction.source import BackboneSource
from embedcache.inputs.images import decoder_version
from embedcache.records.manifest import Manifest
from embedcache.records.rejects import Reject, RejectReason
from embedcache.store.lookup import RowLookup

__all__ = ["Chunk", "embed_stream"]

_CHUNK = 32
"""Samples per chunk: a device's default batch is a multiple of it."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Consecutive samples, embedded.

    Attributes:
        rows: B rows of the manifest.
        digests: SHA-256 of the bytes of each.
        features: (B, D) of the stored dtype; zeros where there is a reject.
        rejects: Why a sample has no features, by position in the chunk.
        embedded: How many went through the backbone.
    """

    rows: list[int]
    digests: list[bytes]
    features: NDArray[np.floating]
    rejects: dict[int, Reject]
    embedded: int


def embed_stream(
    manifest: Manifest, source: BackboneSource, lookup: RowLookup, workers: int | None
) -> Iterator[Chunk]:
    """Features of every sample, in order: cached ones reused, the others embedded.

    Args:
        manifest: The samples.
        source: The backbone; loaded at the first image that is not cached.
        lookup: Cached rows of the same identity.
        workers: Threads that read and decode.
    """
    loader = Loader(
        manifest=manifest,
        lookup=lookup,
        prepare=lambda data: source.load().prepare(data),
        decoder=decoder_version(),
        content_rejects={},
        workers=workers or default_workers(),
        window=2 * _CHUNK,
        timings=Timings(),
    )
    stream = loader.stream(range(len(manifest)))
    while chunk := list(islice(stream, _CHUNK)):
        yield _embed(chunk, manifest, source, lookup)


def _embed(
    chunk: list[Loaded], manifest: Manifest, source: BackboneSource, lookup: RowLookup
) -> Chunk:
    spec = source.spec
    features = np.zeros((len(chunk), spec.dim), spec.identity.stored_dtype)
    rejects = {position: item.reject for position, item in enumerate(chunk) if item.reject}
    fresh = [position for position, item in enumerate(chunk) if item.prepared is not None]
    if fresh:
        images = np.stack([item.prepared for item in chunk if item.prepared is not None])
        exact = source.load().submit(images).result()
        limit = float(np.finfo(features.dtype).max)
        for position, vector in zip(fresh, exact, strict=True):
            if np.abs(vector).max() <= limit:  # NaN is not
                # Rounded as on disk: the same probabilities whether it is cached or not.
                features[position] = vector
            else:
                item = chunk[position]
                detail = f"a feature is not finite, or does not fit into {features.dtype}"
                reason, decoder = RejectReason.NOT_FINITE, decoder_version()
                id_ = manifest.ids[item.row]
                rejects[position] = Reject(id_, item.digest, reason, detail, decoder)
    for position, item in enumerate(chunk):
        if item.prepared is None and item.reject is None:
            found = lookup.find(item.digest)
            assert found is not None
            cache, row = found
            features[position] = lookup.caches[cache].rows(np.array([row]))[0]
    rows, digests = [item.row for item in chunk], [item.digest for item in chunk]
    return Chunk(rows, digests, features, rejects, len(fresh))
