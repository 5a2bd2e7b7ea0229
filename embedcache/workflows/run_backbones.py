"""The backbones of a run: loaded as the run was fitted with them, and checked before use.

B is the number of samples in a chunk, D the number of columns of all backbones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from embedcache.backbones.base import Backbone, BackboneRequest
from embedcache.backbones.tuned_folder import settled
from embedcache.errors import CacheInvalidError, EmbedcacheError, UsageError
from embedcache.extraction.golden import GoldenClaim, GoldenKeeper
from embedcache.extraction.source import BackboneSource
from embedcache.extraction.stream import Chunk, embed_stream
from embedcache.extraction.workplace import index_dir
from embedcache.heads.artefact import Head
from embedcache.inputs.images import decoder_version
from embedcache.records.identity import Identity
from embedcache.records.imported import is_imported
from embedcache.records.json_text import parse_json
from embedcache.records.manifest import Manifest
from embedcache.records.rejects import Reject, RejectReason
from embedcache.runs.files import read_regular
from embedcache.runs.folder import CONFIG
from embedcache.store.cache import FeatureCache
from embedcache.store.catalog import caches_of_identity
from embedcache.store.lookup import RowLookup

__all__ = ["RunBackbone", "embed_images", "run_backbones"]

_LARGEST_CONFIG = 16 << 20


@dataclass(frozen=True, eq=False)
class RunBackbone:
    """A backbone on demand, and the cached rows of its identity."""

    source: BackboneSource
    lookup: RowLookup


def run_backbones(
    run: Path,
    head: Head,
    root: Path,
    *,
    device: str = "auto",
    batch_size: int | None = None,
    backbones: Sequence[Backbone] = (),
) -> list[RunBackbone]:
    """The backbones whose features a head takes, in the order of its columns.

    Args:
        run: The run's folder.
        head: Its head.
        root: The cache root whose features may be reused.
        device: Where to embed.
        batch_size: Images per forward pass.
        backbones: In memory, one for each source of the head, for runs that were made so.

    Raises:
        UsageError: Some of the features were made elsewhere, or by a backbone that was in
            memory then and is not given now.
        CacheInvalidError: The run does not say how to load them.
        IdentityMismatchError: One is not on this machine any more.
        DriftError: This environment does not reproduce its features.
    """
    if any(is_imported(source.identity) for source in head.sources):
        raise UsageError(
            "this run was fitted on imported features beside others: it cannot classify images",
            where=run,
            got=head.backbone,
            expected="backbones that are known here",
            hint="predict from Python: load_head(RUN).predict_proba(FEATURES)",
        )
    entries = _entries(run)
    if len(entries) != len(head.sources):
        raise _no_backbone(run, f"{len(entries)} backbones for {len(head.sources)} sources")
    given: Sequence[Backbone | BackboneRequest] = backbones or [request for request, _ in entries]
    if not all(given):
        raise UsageError(
            "this run's backbone was given from Python: it cannot be loaded again",
            where=run,
            hint="Predictor(RUN, backbone=…) takes it",
        )
    sources = [
        BackboneSource(each, index_dir=index_dir(root), device=device, batch_size=batch_size)
        for each in given
    ]
    head.check_identity(*(source.spec.identity for source in sources))
    return [
        _checked(source, claim, root) for source, (_, claim) in zip(sources, entries, strict=True)
    ]


def embed_images(
    manifest: Manifest, backbones: Sequence[RunBackbone], workers: int | None
) -> Iterator[Chunk]:
    """Features of every sample by every backbone, in order, side by side, (B, D) a chunk.

    Args:
        manifest: The samples.
        backbones: One or more; each is loaded at the first image that is not cached for it.
        workers: Threads that read and decode for each.
    """
    streams = [embed_stream(manifest, each.source, each.lookup, workers) for each in backbones]
    return map(_joined, zip(*streams, strict=True))


def _entries(run: Path) -> list[tuple[BackboneRequest, GoldenClaim]]:
    try:
        entries = parse_json(read_regular(run / CONFIG, _LARGEST_CONFIG))["backbones"]
        return [(_request(entry, run), GoldenClaim.from_json(entry["golden"])) for entry in entries]
    except (ValueError, KeyError, TypeError) as error:
        raise _no_backbone(run, error) from error


def _request(entry: Any, run: Path) -> Any:
    """The request, or what is empty for a backbone that was made in memory."""
    return entry["request"] and settled(BackboneRequest.from_json(entry["request"]), beside=run)


def _no_backbone(run: Path, got: object) -> CacheInvalidError:
    return CacheInvalidError(
        "this run does not say how to load its backbone", where=run / CONFIG, got=got
    )


def _checked(source: BackboneSource, claim: GoldenClaim, root: Path) -> RunBackbone:
    lookup, claims = RowLookup(), [claim]
    for cache in _reusable(root, source.spec.identity):
        lookup.add(cache)
        claims.append(GoldenClaim.of(cache))
    keeper = GoldenKeeper(source, claims, index_dir(root))
    source.when_loaded(keeper.check_before_embedding)
    keeper.check_before_reuse()
    return RunBackbone(source, lookup)


def _reusable(root: Path, identity: Identity) -> list[FeatureCache]:
    caches = []
    for path in caches_of_identity(root, identity):
        try:
            cache = FeatureCache(path)
        except EmbedcacheError:
            continue  # a damaged cache elsewhere costs a forward pass, not an answer
        if cache.identity == identity:
            caches.append(cache)
    return caches


def _joined(chunks: tuple[Chunk, ...]) -> Chunk:
    """The same samples by several backbones; what one rejects has no features."""
    first, *others = chunks
    if not others:
        return first
    rejects = {at: each for chunk in reversed(chunks) for at, each in chunk.rejects.items()}
    for at, digest in enumerate(first.digests):
        # Each backbone reads the file for itself: it must have been the same file.
        if at not in rejects and any(chunk.digests[at] != digest for chunk in others):
            rejects[at] = Reject(
                b"",
                digest,
                RejectReason.CHANGED_WHILE_READ,
                "one backbone was given other bytes than another",
                decoder_version(),
            )
    return replace(
        first,
        features=np.concatenate([chunk.features for chunk in chunks], axis=1),
        rejects=rejects,
        embedded=sum(chunk.embedded for chunk in chunks),
    )
