"""Check the golden record before features of two environments meet in one cache.

A check that has passed is remembered per identity, record and environment.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from embedcache.backbones.base import Backbone
from embedcache.extraction.environment import environment, fingerprint
from embedcache.extraction.source import BackboneSource
from embedcache.records.identity import Numerics
from embedcache.storage.digests import sha256_hex
from embedcache.storage.publish import write_atomic
from embedcache.store.cache import FeatureCache

__all__ = ["GoldenKeeper"]


class GoldenKeeper:
    """Vouches that this environment reproduces the features that are to be reused.

    Args:
        source: The backbone.
        caches: Caches whose rows may be reused.
        index_dir: Folder of the disposable index, where passed checks are remembered.
    """

    def __init__(self, source: BackboneSource, caches: list[FeatureCache], index_dir: Path) -> None:
        self._source = source
        self._caches = [cache for cache in caches if cache.meta.golden]
        self._index_dir = index_dir
        self._environment = environment()
        self._record: dict[str, Any] | None = self._caches[0].meta.golden if self._caches else None

    def check_before_reuse(self) -> None:
        """Check every record that was made in another environment, loading the backbone if needed.

        Raises:
            DriftError: A record is not reproduced.
        """
        for cache in self._caches:
            if cache.meta.environment != self._environment:
                self._check(self._environment, cache)

    def check_before_embedding(self, backbone: Backbone) -> None:
        """Check every record that no row was computed for on this device and engine.

        Raises:
            DriftError: A record is not reproduced.
        """
        mine = _without_batch(backbone.numerics)
        for cache in self._caches:
            if mine not in {_without_batch(entry) for entry in cache.meta.numerics}:
                self._check({**self._environment, **_texts(mine)}, cache)

    def record(self) -> dict[str, Any]:
        """The golden record for new files: the one at hand, else a new one."""
        if self._record is None:
            from embedcache.backbones.golden_record import make_golden

            self._record = make_golden(self._source.load()).to_json()
        return self._record

    def _check(self, where: dict[str, str], cache: FeatureCache) -> None:
        golden = json.dumps(cache.meta.golden, sort_keys=True).encode()
        name = f"golden-{cache.identity.short}-{sha256_hex(golden)[:12]}-{fingerprint(where)}"
        marker = self._index_dir / name
        if marker.exists():
            return
        from embedcache.backbones.golden_record import GoldenRecord, check_golden

        check_golden(self._source.load(), GoldenRecord.from_json(cache.meta.golden))
        marker.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(marker, b"")


def _without_batch(numerics: Numerics) -> Numerics:
    return replace(numerics, batch_size=0)


def _texts(numerics: Numerics) -> dict[str, str]:
    return {f"numerics.{name}": str(value) for name, value in numerics.to_json().items()}
