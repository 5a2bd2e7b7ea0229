"""Check golden records before features of two environments meet.

A check that has passed is remembered per identity, record and environment.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from embedcache.backbones.base import Backbone
from embedcache.errors import CacheInvalidError
from embedcache.extraction.environment import environment, fingerprint
from embedcache.extraction.source import BackboneSource
from embedcache.records.identity import Numerics
from embedcache.storage.digests import sha256_hex
from embedcache.storage.publish import make_dir, write_atomic
from embedcache.store.cache import FeatureCache

__all__ = ["GoldenClaim", "GoldenKeeper"]


@dataclass(frozen=True)
class GoldenClaim:
    """A golden record, and where features were found to agree with it.

    Attributes:
        record: The record, as JSON.
        environment: Versions and platform of the one who wrote the features.
        numerics: How the features were computed.
    """

    record: dict[str, Any]
    environment: dict[str, str]
    numerics: tuple[Numerics, ...]

    @classmethod
    def of(cls, cache: FeatureCache) -> GoldenClaim:
        """What a cache claims."""
        return cls(cache.meta.golden, cache.meta.environment, cache.meta.numerics)

    def to_json(self) -> dict[str, Any]:
        """The fields by name."""
        return {
            "record": self.record,
            "environment": self.environment,
            "numerics": [entry.to_json() for entry in self.numerics],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> GoldenClaim:
        """The claim, from what `to_json` gave.

        Raises:
            ValueError: It is not such a claim.
        """
        match value:
            case {
                "record": dict(record),
                "environment": dict(where),
                "numerics": list(numerics),
            } if len(value) == 3 and all(isinstance(entry, dict) for entry in numerics):
                return cls(record, where, tuple(Numerics.from_json(entry) for entry in numerics))
        raise ValueError("not a golden claim")


class GoldenKeeper:
    """Vouches that this environment reproduces the features that are to be used.

    Args:
        source: The backbone.
        claims: What is known of those features.
        index_dir: Folder of the disposable index, where passed checks are remembered.
    """

    def __init__(
        self, source: BackboneSource, claims: Iterable[GoldenClaim], index_dir: Path
    ) -> None:
        self._source = source
        self._claims = [claim for claim in claims if claim.record]
        self._index_dir = index_dir
        self._environment = environment()
        self._record = self._claims[0].record if self._claims else None

    def check_before_reuse(self) -> None:
        """Check every record of another environment, loading the backbone if needed.

        Raises:
            DriftError: A record is not reproduced.
            CacheInvalidError: A record cannot be read.
        """
        for claim in self._claims:
            if claim.environment != self._environment:
                self._check(self._environment, claim.record)

    def check_before_embedding(self, backbone: Backbone) -> None:
        """Check every record that no row was computed for on this device and engine.

        Raises:
            DriftError: A record is not reproduced.
            CacheInvalidError: A record cannot be read.
        """
        mine = _without_batch(backbone.numerics)
        where = {f"numerics.{name}": str(value) for name, value in mine.to_json().items()}
        for claim in self._claims:
            if mine not in {_without_batch(entry) for entry in claim.numerics}:
                self._check({**self._environment, **where}, claim.record)

    def record(self) -> dict[str, Any]:
        """The golden record for new files: the one at hand, else a new one."""
        if self._record is None:
            from embedcache.backbones.golden_record import make_golden

            self._record = make_golden(self._source.load()).to_json()
        return self._record

    def _check(self, where: dict[str, str], record: dict[str, Any]) -> None:
        digest = sha256_hex(json.dumps(record, sort_keys=True).encode())[:12]
        name = f"golden-{self._source.spec.identity.short}-{digest}-{fingerprint(where)}"
        marker = self._index_dir / name
        if marker.exists():
            return
        from embedcache.backbones.golden_record import GoldenRecord, check_golden

        try:
            golden = GoldenRecord.from_json(record)
        except ValueError as error:
            raise CacheInvalidError(
                "the golden record cannot be read",
                where=self._source.spec.name,
                got=error,
                hint="embedcache extract --overwrite embeds again",
            ) from error
        check_golden(self._source.load(), golden)
        make_dir(marker.parent)
        write_atomic(marker, b"")


def _without_batch(numerics: Numerics) -> Numerics:
    return replace(numerics, batch_size=0)
