"""Cache what a block takes, for some rows of a feature cache and several views of each.

Each view is a cache of its own, made by `extract`: another view later costs only itself.
V is the number of views, M of rows.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedcache.backbones.base import BackboneRequest
from embedcache.errors import CacheInvalidError
from embedcache.extraction.extract import extract
from embedcache.extraction.records import ExtractOptions, Observer
from embedcache.extraction.workplace import workplace
from embedcache.inputs.views import View
from embedcache.records.manifest import Manifest
from embedcache.store.cache import FeatureCache
from embedcache.store.lookup import RowLookup
from embedcache.workflows.origin import manifest_of

__all__ = ["CachedView", "cache_view", "view_names"]


@dataclass(frozen=True, eq=False)
class CachedView:
    """Activations of some rows in one view.

    Attributes:
        cache: Of activations.
        rows: (M,) int64, where each of the asked rows lies in it.
    """

    cache: FeatureCache
    rows: NDArray[np.int64]


def view_names(recipe: str, count: int, seed: int) -> tuple[str | None, ...]:
    """The plain image and further views, `count` in all."""
    return (None, *(str(View(recipe, number, seed)) for number in range(1, count)))


def cache_view(
    features: FeatureCache,
    rows: NDArray[np.int64],
    boundary: str,
    view: str | None,
    *,
    root: Path | None = None,
    device: str = "auto",
    observer: Observer | None = None,
) -> CachedView:
    """Activations at a block, beside the features' cache; only what is missing is computed.

    Args:
        features: A cache whose backbone can be loaded again.
        rows: (M,) int64 rows of it.
        boundary: The block.
        view: As `View` writes it; `None` for the plain image.
        root: Folder that the images lie in now, under the names that they have in the cache;
            None for where they were.
        device: Where to compute.
        observer: Hears how it goes.

    Raises:
        CacheInvalidError: An image has other bytes than when its features were cached.
        EmbedcacheError: As `extract` says.
    """
    asked = BackboneRequest.from_json(features.meta.request)
    request = replace(asked, layer=boundary, view=view)
    folder = features.path.parent
    options = ExtractOptions(cache_dir=folder.parent, device=device, on_error="fail")
    everything = manifest_of(features)
    if root is not None:
        everything = replace(everything, root=os.path.abspath(root))
    wanted = _with_cached(everything, rows, folder.name, request, options)
    done = extract(wanted, folder.name, request, options, observer)
    cache = FeatureCache(done.cache)
    lookup = RowLookup()
    lookup.add(cache)
    _, found = lookup.find_all(features.sha256[rows])
    if (found < 0).any():
        raise CacheInvalidError(
            "an image has other bytes than when its features were cached",
            where=features.path,
            got=features.ids.text(int(rows[np.flatnonzero(found < 0)[0]])),
            hint=f"embedcache extract {features.meta.source.location} embeds what there is now",
        )
    return CachedView(cache, found)


def _with_cached(
    manifest: Manifest,
    rows: NDArray[np.int64],
    dataset: str,
    request: BackboneRequest,
    options: ExtractOptions,
) -> Manifest:
    """The rows, and those that are cached already: asking for others throws nothing away."""
    place = workplace(manifest, dataset, request, options).place
    keep: Sequence[int] = []
    if place.file.exists():
        cached = set(FeatureCache(place.file).ids)
        keep = [row for row, id_ in enumerate(manifest.ids) if id_ in cached]
    return manifest.take(np.union1d(rows, np.array(keep, np.int64)))
