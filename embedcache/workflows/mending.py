"""Embed the damaged rows of a cache again, in order between the blocks that are sound.

D is the embedding dimension.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from embedcache.backbones.base import Backbone
from embedcache.errors import CacheInvalidError, FeatureOverflowError
from embedcache.extraction.loading import Loaded, Loader, default_workers
from embedcache.extraction.records import Observer, Timings
from embedcache.inputs.images import decoder_version
from embedcache.store.cache import FeatureCache
from embedcache.store.lookup import RowLookup
from embedcache.workflows.origin import manifest_of

__all__ = ["mended_blocks"]

_WINDOW = 64
"""Images that are read ahead."""


def mended_blocks(
    cache: FeatureCache,
    mended: NDArray[np.int64],
    kept: NDArray[np.int64],
    backbone: Backbone | None,
    observer: Observer,
) -> Iterator[NDArray[np.floating]]:
    """The features to keep in order, (·, D): sound blocks as they are, damaged ones embedded.

    Args:
        cache: The cache, some of whose blocks are damaged.
        mended: (M,) rows of damaged blocks that are embedded again.
        kept: (N,) rows of the new file, ascending, the mended among them.
        backbone: What embeds them; only with M = 0 there need not be one.
        observer: Hears how many are done.

    Raises:
        CacheInvalidError: An image is gone or has changed.
        FeatureOverflowError: A feature does not fit into the stored dtype.
    """
    is_mended = np.zeros(len(cache), bool)
    is_mended[mended] = True
    block, done = kept // cache.meta.block_rows, 0
    with contextlib.closing(_stream(cache, mended, backbone)) as stream:
        for rows in np.split(kept, np.flatnonzero(np.diff(block)) + 1):
            # Damage is known by the block: of one, all rows to keep are embedded, or none.
            if not is_mended[rows[0]]:
                yield cache.rows(rows)
                continue
            assert backbone is not None, "it mends rows"
            for features in _embed(cache, islice(stream, len(rows)), backbone):
                done += len(features)
                observer.progress(done, len(mended))
                yield features


def _stream(
    cache: FeatureCache, rows: NDArray[np.int64], backbone: Backbone | None
) -> Generator[Loaded]:
    """The images of rows, read and prepared ahead."""
    if backbone is None:
        return
    loader = Loader(
        manifest=manifest_of(cache),
        lookup=RowLookup(),
        prepare=backbone.prepare,
        decoder=decoder_version(),
        content_rejects={},
        workers=default_workers(),
        window=_WINDOW,
        timings=Timings(),
    )
    with contextlib.closing(loader.stream(map(int, rows))) as stream:
        yield from stream


def _embed(
    cache: FeatureCache, samples: Iterable[Loaded], backbone: Backbone
) -> Iterator[NDArray[np.floating]]:
    stored = np.dtype(cache.identity.stored_dtype)
    samples = iter(samples)
    while batch := list(islice(samples, backbone.numerics.batch_size)):
        images = [_unchanged(cache, sample) for sample in batch]
        features = backbone.submit(np.stack(images)).result()
        if not np.abs(features).max() <= float(np.finfo(stored).max):  # NaN is none either
            raise FeatureOverflowError(
                f"a feature does not fit into {stored}, although it once did",
                where=cache.ids.text(batch[0].row),
                hint="embedcache verify tells whether this environment has drifted",
            )
        yield features.astype(stored)


def _unchanged(cache: FeatureCache, sample: Loaded) -> NDArray[np.uint8]:
    """The prepared image of a row, if its bytes are those that the row was made from."""
    if sample.prepared is None or sample.digest != cache.sha256[sample.row].tobytes():
        raise CacheInvalidError(
            "damaged rows cannot be repaired: an image is gone or has changed",
            where=cache.path,
            got=cache.ids.text(sample.row),
            hint=f"embedcache extract {cache.meta.source.location} embeds what there is now",
        )
    return sample.prepared
