"""Which cache an extraction is about, and where everything that belongs to it lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from embedcache.backbones.base import Backbone, BackboneRequest
from embedcache.extraction.records import ExtractOptions
from embedcache.extraction.source import BackboneSource
from embedcache.records.manifest import Manifest
from embedcache.store.catalog import CachePlace, cache_root

__all__ = ["Workplace", "index_dir", "workplace"]


def index_dir(root: Path) -> Path:
    """Folder of the disposable identity index."""
    return root / ".index"


@dataclass(frozen=True)
class Workplace:
    """A data set and a backbone, and where their cache goes."""

    manifest: Manifest
    source: BackboneSource
    place: CachePlace
    work: Path


def workplace(
    manifest: Manifest,
    dataset: str,
    backbone: BackboneRequest | Backbone,
    options: ExtractOptions,
) -> Workplace:
    """Find out which cache an extraction is about; needs no torch if it ever ran before."""
    root = cache_root(options.cache_dir)
    source = BackboneSource(
        backbone,
        index_dir=index_dir(root),
        device=options.device,
        batch_size=options.batch_size,
        compile=options.compile,
    )
    place = CachePlace(root, dataset, source.spec.name, source.spec.identity)
    # A run that overwrites must not meet the shards of one that reuses.
    work = place.work.with_suffix(".overwrite") if options.overwrite else place.work
    return Workplace(manifest, source, place, work)
