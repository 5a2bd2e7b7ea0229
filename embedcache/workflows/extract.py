"""Extract from a folder or manifest: open it, name its cache, embed what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from embedcache.backbones.base import Backbone, BackboneRequest
from embedcache.datasets.names import dataset_name
from embedcache.datasets.options import SourceOptions
from embedcache.datasets.source import open_source
from embedcache.extraction.estimate import estimate
from embedcache.extraction.extract import extract
from embedcache.extraction.records import Estimate, ExtractOptions, ExtractResult, Observer
from embedcache.records.manifest import Manifest

__all__ = ["estimate_source", "extract_source"]


def extract_source(
    source: str | Path,
    backbone: str | Backbone = "bundled/efficientnet_lite0",
    *,
    observer: Observer | None = None,
    **options: Any,
) -> ExtractResult:
    """Embed what is not cached yet of a data set, and publish its cache.

    Args:
        source: A folder, or a CSV or Parquet manifest.
        backbone: `SOURCE/MODEL[:WEIGHTS]`, or a backbone in memory.
        observer: Hears how it goes.
        options: As the flags of `embedcache extract`, with underscores; `label_column` may be
            a list of names.

    Raises:
        EmbedcacheError: As `embedcache.extraction.extract.extract` and `open_source` say.
    """
    manifest, name, request, how = _resolve(source, backbone, options, observer)
    return extract(manifest, name, request, how, observer)


def estimate_source(
    source: str | Path,
    backbone: str | Backbone = "bundled/efficientnet_lite0",
    *,
    observer: Observer | None = None,
    **options: Any,
) -> Estimate:
    """What `extract_source` would do with the same arguments, and how long it would take."""
    manifest, name, request, how = _resolve(source, backbone, options, observer)
    return estimate(manifest, name, request, how, observer)


def _resolve(
    source: str | Path,
    backbone: str | Backbone,
    options: dict[str, Any],
    observer: Observer | None,
) -> tuple[Manifest, str, BackboneRequest | Backbone, ExtractOptions]:
    label_column = options.pop("label_column", None)
    if isinstance(label_column, list):
        label_column = tuple(label_column)
    reading = SourceOptions(
        root=options.pop("root", None),
        path_column=options.pop("path_column", None),
        label_column=label_column,
        label_separator=options.pop("label_separator", None),
        split_column=options.pop("split_column", None),
        group_column=options.pop("group_column", None),
        allow_outside=options.pop("allow_outside", False),
        labels=options.pop("labels", "auto"),
    )
    request: BackboneRequest | Backbone
    features = {
        "weights": options.pop("weights", None),
        "image_size": options.pop("image_size", None),
        "pooling": options.pop("pooling", None),
        "precision": options.pop("precision", "float32"),
        "stored_dtype": options.pop("store_dtype", "float16"),
    }
    request = BackboneRequest(backbone, **features) if isinstance(backbone, str) else backbone
    how = ExtractOptions(
        workers=options.pop("num_workers", None),
        compile=options.pop("compile_", False),
        **options,
    )
    manifest = open_source(source, reading)
    if observer is not None:
        for note in manifest.notes:
            observer.note(note)
    return manifest, dataset_name(source, how.name), request, how
