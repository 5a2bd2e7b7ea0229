"""What a cache file holds besides features: the row tables and the `/meta` record.

N is the number of rows, K the number of classes, R the number of rejects.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from embedcache.records.backbone import BackboneSpec
from embedcache.records.identity import Numerics
from embedcache.records.json_text import parse_json
from embedcache.records.label_arrays import Labels, check_labels, is_multilabel
from embedcache.records.manifest import SourceRecord
from embedcache.records.rejects import Reject, RejectReason
from embedcache.records.seen import UNSEEN, VALIDATED
from embedcache.records.strings import Strings

__all__ = ["CacheMeta", "RowTables"]


@dataclass(frozen=True, eq=False)
class RowTables:
    """The tables that stand beside the features, row by row.

    Attributes:
        ids: N ids.
        sha256: (N, 32) uint8, digest of each input's bytes.
        labels: (N,) int32 codes into `classes`, -1 for unlabelled; or (N, K) uint8
            indicators, `label_arrays.UNLABELLED` throughout a row that is.
        classes: K class names.
        split: (N,) uint8 codes into `records.manifest.SPLITS`.
        group: (N,) int32 codes into `groups`, -1 for none.
        groups: Names of the groups.
        numerics: (N,) uint8, which entry of the numerics list produced the row.
        rejects: R inputs that have no row.
        seen: (N,) uint8, what a tuned backbone has seen of the row, as in `records.seen`; None
            where it has seen none of them.
    """

    ids: Strings
    sha256: NDArray[np.uint8]
    labels: Labels
    classes: Strings
    split: NDArray[np.uint8]
    group: NDArray[np.int32]
    groups: Strings
    numerics: NDArray[np.uint8]
    rejects: tuple[Reject, ...]
    seen: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def is_multilabel(self) -> bool:
        """Whether a row may have several classes."""
        return is_multilabel(self.labels)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RowTables):
            return NotImplemented
        mine, theirs = self.arrays(), other.arrays()
        return mine.keys() == theirs.keys() and all(
            np.array_equal(mine[path], theirs[path]) for path in mine
        )

    __hash__ = None  # type: ignore[assignment]  # holds arrays: equality by value, no hash

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Every table by its path in the file; no `seen`, no table."""
        reject_ids = Strings.of(reject.id for reject in self.rejects)
        details = Strings.of(reject.detail for reject in self.rejects)
        decoders = Strings.of(reject.decoder for reject in self.rejects)
        digests = b"".join(reject.digest for reject in self.rejects)
        return {
            "sha256": self.sha256,
            "ids/data": self.ids.data,
            "ids/offsets": self.ids.offsets,
            "labels": self.labels,
            "classes/data": self.classes.data,
            "classes/offsets": self.classes.offsets,
            "split": self.split,
            "group": self.group,
            "groups/data": self.groups.data,
            "groups/offsets": self.groups.offsets,
            "numerics": self.numerics,
            "rejects/ids/data": reject_ids.data,
            "rejects/ids/offsets": reject_ids.offsets,
            "rejects/sha256": np.frombuffer(digests, np.uint8).reshape(-1, 32),
            "rejects/reason": np.array([reject.reason for reject in self.rejects], np.uint8),
            "rejects/detail/data": details.data,
            "rejects/detail/offsets": details.offsets,
            "rejects/decoder/data": decoders.data,
            "rejects/decoder/offsets": decoders.offsets,
            **({} if self.seen is None else {"seen": self.seen}),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The tables, from arrays as `arrays` gives them.

        Raises:
            ValueError: They contradict each other.
        """

        def strings(path: str) -> Strings:
            table = Strings(arrays[f"{path}/data"], arrays[f"{path}/offsets"])
            if not table.is_valid():
                raise ValueError(f"/{path}: the offsets do not fit the data")
            return table

        classes, groups = strings("classes"), strings("groups")
        try:
            check_labels(arrays["labels"], len(classes))
        except ValueError as error:
            raise ValueError(f"/labels: {error}") from error
        _check_codes("group", arrays["group"], -1, len(groups))
        _check_codes("split", arrays["split"], 0, 4)
        seen = arrays.get("seen")
        if seen is not None:
            _check_codes("seen", seen, UNSEEN, VALIDATED + 1)
        rejects = tuple(
            Reject(id_, digest.tobytes(), RejectReason(int(reason)), detail, decoder)
            for id_, digest, reason, detail, decoder in zip(
                strings("rejects/ids"),
                arrays["rejects/sha256"],
                arrays["rejects/reason"],
                strings("rejects/detail").texts(),
                strings("rejects/decoder").texts(),
                strict=True,
            )
        )
        return cls(
            strings("ids"),
            arrays["sha256"],
            arrays["labels"],
            classes,
            arrays["split"],
            arrays["group"],
            groups,
            arrays["numerics"],
            rejects,
            seen,
        )


def _check_codes(name: str, codes: NDArray[Any], low: int, high: int) -> None:
    if len(codes) and (codes.min() < low or codes.max() >= high):
        raise ValueError(f"/{name}: a code lies outside {low}..{high - 1}")


@dataclass(frozen=True)
class CacheMeta:
    """The `/meta` record: what the rows are, and where they came from.

    Attributes:
        backbone: The backbone, its identity included.
        request: How it was asked for, enough to load it again; empty for one made in memory.
        numerics: How rows were computed; `/numerics` points into it.
        environment: Versions and platform at the time of writing.
        source: The data set.
        root: Absolute folder that ids are relative to.
        created: UTC time, ISO 8601.
        golden: The golden record, as JSON.
        rows: N.
        block_rows: Rows per block of features, each with its own sum.
        content: SHA-256 over all block sums; equal content means equal tables and features.
    """

    backbone: BackboneSpec
    request: dict[str, Any]
    numerics: tuple[Numerics, ...]
    environment: dict[str, str]
    source: SourceRecord
    root: str
    created: str
    golden: dict[str, Any]
    rows: int = 0
    block_rows: int = 1
    content: str = "0" * 64

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        value = {
            "backbone": self.backbone.to_json(),
            "request": self.request,
            "numerics": [entry.to_json() for entry in self.numerics],
            "environment": self.environment,
            "source": self.source.to_json(),
            "root": self.root,
            "created": self.created,
            "golden": self.golden,
            "rows": self.rows,
            "block_rows": self.block_rows,
            "content": self.content,
        }
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> CacheMeta:
        """The record, from what `to_bytes` gave.

        Raises:
            ValueError: It is not such a record.
        """
        match parse_json(data):
            case {
                "backbone": backbone,
                "request": dict(request),
                "numerics": list(numerics),
                "environment": dict(environment),
                "source": source,
                "root": str(root),
                "created": str(created),
                "golden": dict(golden),
                "rows": int(rows),
                "block_rows": int(block_rows),
                "content": str(content),
            } if (
                1 <= block_rows < 1 << 63
                and all(isinstance(text, str) for text in environment.values())
                and all(isinstance(entry, dict) for entry in numerics)
            ):
                return cls(
                    BackboneSpec.from_json(backbone),
                    request,
                    tuple(Numerics.from_json(entry) for entry in numerics),
                    environment,
                    SourceRecord.from_json(source),
                    root,
                    created,
                    golden,
                    rows,
                    block_rows,
                    content,
                )
        raise ValueError("not a cache's meta record")

    def with_layout(self, rows: int, block_rows: int, content: str) -> CacheMeta:
        """The record with the values that only the writer knows."""
        return replace(self, rows=rows, block_rows=block_rows, content=content)
