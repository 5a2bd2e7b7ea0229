"""Cache the features of a backbone that a fine-tuning shipped, for heads and for `predict`."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np

from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.names import TUNED
from embedcache.errors import UsageError
from embedcache.extraction.extract import extract
from embedcache.extraction.records import ExtractOptions
from embedcache.finetuning.locate import locate
from embedcache.runs.folder import BACKBONE
from embedcache.store.cache import FeatureCache
from embedcache.workflows.finetune_options import FinetuneOptions
from embedcache.workflows.origin import manifest_of
from embedcache.workflows.tuning import Notify

__all__ = ["cache_tuned"]


class _Watch:
    """Passes on what an extraction says."""

    def __init__(self, notify: Notify, on_step: Callable[[int, int], None] | None) -> None:
        self._notify = notify
        self._on_step = on_step

    def note(self, text: str) -> None:
        self._notify(text)

    def progress(self, done: int, total: int) -> None:
        if self._on_step is not None:
            self._on_step(done, total)


def cache_tuned(
    run: Path,
    cache: FeatureCache,
    options: FinetuneOptions,
    *,
    notify: Notify,
    on_step: Callable[[int, int], None] | None,
) -> Path | None:
    """Extract the rows of a cache with a run's own backbone; only what is missing is computed.

    Args:
        run: Which the backbone is of.
        cache: Of the frozen features.
        options: Of the fine-tuning: where to compute, and where the images are now.
        notify: Told what a person should know.
        on_step: Told of images done, and of how many there are.

    Returns:
        The new cache; None where an image is not where it was, or the run is from before
        backbones were shipped.

    Raises:
        EmbedcacheError: As `extract` says.
    """
    if not (run / BACKBONE).is_dir():
        return None
    try:
        locate(cache, np.arange(len(cache)), None)
    except UsageError:
        source = options.source or Path(cache.meta.source.location)
        words = ["embedcache", "extract", str(source), "--backbone", f"{TUNED}:{run}"]
        notify(f"the images are not where they were: {shlex.join(words)} caches their features")
        return None
    notify("features of the tuned backbone, for heads and for predict")
    identity, folder = cache.identity, cache.path.parent
    request = BackboneRequest(
        f"{TUNED}:{run}", precision=identity.precision, stored_dtype=identity.stored_dtype
    )
    how = ExtractOptions(cache_dir=folder.parent, device=options.device)
    watch = _Watch(notify, on_step)
    return extract(manifest_of(cache), folder.name, request, how, watch).cache
