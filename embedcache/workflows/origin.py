"""What a cache was made from: the backbone, checked to be the same, and the samples of its rows."""

from __future__ import annotations

from embedcache.backbones.base import Backbone, BackboneRequest
from embedcache.errors import CacheInvalidError, IdentityMismatchError, UsageError
from embedcache.extraction.source import BackboneSource
from embedcache.extraction.workplace import index_dir
from embedcache.records.imported import is_imported
from embedcache.records.manifest import Manifest
from embedcache.store.cache import FeatureCache

__all__ = ["check_identity", "manifest_of", "request_of", "source_of"]


def source_of(cache: FeatureCache, device: str, backbone: Backbone | None) -> BackboneSource:
    """The backbone that made a cache, or `backbone` where it was made in memory.

    Raises:
        UsageError: The features were made elsewhere.
        CacheInvalidError: The cache does not say how to load it.
    """
    if is_imported(cache.identity):
        raise UsageError(
            "these features were imported: their backbone is not known here",
            where=cache.path,
            got=cache.meta.backbone.name,
            hint=f"embedcache import {cache.meta.source.location} makes the cache again",
        )
    root = cache.path.parent.parent
    if backbone is not None:
        return BackboneSource(backbone, index_dir=index_dir(root))
    return BackboneSource(request_of(cache), index_dir=index_dir(root), device=device)


def request_of(cache: FeatureCache) -> BackboneRequest:
    """How the backbone of a cache was asked for.

    Raises:
        CacheInvalidError: The cache does not say so.
    """
    try:
        return BackboneRequest.from_json(cache.meta.request)
    except ValueError as error:
        raise CacheInvalidError(
            "this cache does not say how to load its backbone", where=cache.path, got=error
        ) from error


def check_identity(cache: FeatureCache, source: BackboneSource) -> None:
    """Refuse a backbone that is not the one that made the cache.

    Raises:
        IdentityMismatchError: Anything that features depend on has changed.
    """
    changes = cache.identity.differences(source.spec.identity)
    if changes:
        raise IdentityMismatchError(
            "the backbone is not the one that made this cache any more",
            where=cache.path,
            got="; ".join(changes),
            hint="embedcache extract makes a new cache for it",
        )


def manifest_of(cache: FeatureCache) -> Manifest:
    """The samples that have a row in a cache, in its order."""
    tables = cache.tables
    return Manifest(
        cache.meta.source,
        cache.meta.root,
        tables.ids,
        tables.labels,
        tables.classes,
        tables.split,
        tables.group,
        tables.groups,
    )
