"""Import features that were made elsewhere into a cache, for heads only.

N is the number of rows, D the embedding dimension.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcache.datasets.feature_file import (
    file_sha256,
    finite_rows,
    map_features,
    stored_blocks,
)
from embedcache.datasets.feature_table import (
    FeatureTable,
    FeatureTableOptions,
    numbered_rows,
    read_feature_table,
)
from embedcache.datasets.names import dataset_name
from embedcache.errors import CacheError, RejectedInputsError, UsageError
from embedcache.extraction.environment import environment, utc_now
from embedcache.extraction.publication import guard_against_shrinking, still_there
from embedcache.records.backbone import BackboneSpec
from embedcache.records.imported import IMPORTED, imported_identity, imported_numerics
from embedcache.records.manifest import SourceRecord
from embedcache.records.rejects import Reject, RejectReason
from embedcache.storage.locks import exclusive
from embedcache.storage.publish import make_dir
from embedcache.store.cache import FeatureCache
from embedcache.store.catalog import CachePlace, cache_root
from embedcache.store.contents import CacheMeta, RowTables
from embedcache.store.writer import write_cache

__all__ = ["ImportResult", "import_features"]

_LONGEST_NAME = 200


@dataclass(frozen=True)
class ImportResult:
    """What an import did.

    Attributes:
        cache: The cache.
        rows: N.
        dim: D.
        rejected: Rows of the file that have a NaN or an infinity, and no row in the cache.
        changed: Whether the cache is new or other than before.
        bytes: Size of the cache.
        notes: What a person should know.
    """

    cache: Path
    rows: int
    dim: int
    rejected: int
    changed: bool
    bytes: int
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """One flat object, as `--json` prints it."""
        return {**asdict(self), "cache": str(self.cache)}


def import_features(
    features: Path,
    backbone_name: str,
    *,
    labels: Path | None = None,
    columns: Mapping[str, str | None] | None = None,
    root: Path | None = None,
    store_dtype: str = "float16",
    name: str | None = None,
    prune: bool = False,
    cache_dir: Path | None = None,
) -> ImportResult:
    """Write a cache of features that were made elsewhere.

    Args:
        features: A `.npy` file, (N, D) float16, float32 or float64.
        backbone_name: What made them, and how: heads refuse features of any other name.
        labels: A CSV or Parquet table with one row for each row of features, in their order.
        columns: Names of its columns, as the fields of `FeatureTableOptions`.
        root: Folder that ids are relative to, where they are paths of images; by default
            the table's own.
        store_dtype: `float16` or `float32`, on disk.
        name: Of the data set; by default from the file's place.
        prune: Allow a cache of this name to lose more than a tenth of its rows.
        cache_dir: The cache root.

    Raises:
        UsageError: The backbone's name is empty, too long or not of printable characters.
        SourceError: The file is none of features, or the table does not fit it.
        RejectedInputsError: No row is finite.
        FeatureOverflowError: A feature does not fit into the stored type.
        ShrinkError: A cache of this name would lose many rows.
        StorageError: The cache cannot be written.
    """
    _check_name(backbone_name)
    options = FeatureTableOptions(**(columns or {}))
    array = map_features(features)
    table = (
        numbered_rows(len(array))
        if labels is None
        else read_feature_table(labels, len(array), options)
    )
    keep = finite_rows(array, store_dtype, features)
    if not keep.any():
        raise RejectedInputsError(
            "no row of these features is finite; no cache was written", where=features
        )
    digests = table.digests
    if digests is None:
        digests = _feature_digests(array, store_dtype)
    identity = imported_identity(backbone_name, store_dtype)
    backbone = BackboneSpec(f"{IMPORTED}/{backbone_name}", identity, array.shape[1], 0, "")
    place = CachePlace(cache_root(cache_dir), dataset_name(features, name), backbone.name, identity)
    base = (labels or features).absolute().parent if root is None else root.absolute()
    meta = CacheMeta(
        backbone=backbone,
        request={"features_sha256": file_sha256(features)},
        numerics=(imported_numerics(),),
        environment=environment(),
        source=_source(features, backbone_name, labels, options, root, store_dtype, name),
        root=str(base),
        created=utc_now(),
        golden={},
    )
    tables = _tables(table, digests, keep)
    make_dir(place.folder)
    with exclusive(place.lock):
        changed = _publish(place, tables, meta, array, keep, prune=prune)
    return ImportResult(
        place.file,
        len(tables),
        backbone.dim,
        len(tables.rejects),
        changed,
        place.file.stat().st_size,
        table.notes,
    )


def _check_name(backbone_name: str) -> None:
    if not (backbone_name.strip() and backbone_name.isprintable()) or (
        len(backbone_name) > _LONGEST_NAME
    ):
        raise UsageError(
            "this does not name a backbone",
            where="--backbone-name",
            got=repr(backbone_name),
            expected=f"what made the features, in up to {_LONGEST_NAME} printable characters",
        )


def _source(
    features: Path,
    backbone_name: str,
    labels: Path | None,
    options: FeatureTableOptions,
    root: Path | None,
    store_dtype: str,
    name: str | None,
) -> SourceRecord:
    """Where the rows came from: the options by name, as the command takes them."""
    given = {
        "backbone_name": backbone_name,
        "labels": None if labels is None else os.path.abspath(labels),
        **options.to_record(),
        "root": None if root is None else os.path.abspath(root),
        "store_dtype": store_dtype,
        "name": name,
    }
    texts = {key: value for key, value in given.items() if value is not None}
    return SourceRecord("features", os.path.abspath(features), texts)


def _feature_digests(features: NDArray[np.floating], stored_dtype: str) -> NDArray[np.uint8]:
    """SHA-256 of each row as it is stored, (N, 32) uint8: all that tells rows without ids apart."""
    rows = (hashlib.sha256(row.astype(stored_dtype).tobytes()).digest() for row in features)
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 32)


def _tables(table: FeatureTable, digests: NDArray[np.uint8], keep: NDArray[np.bool_]) -> RowTables:
    kept = np.flatnonzero(keep)
    rejects = tuple(
        Reject(
            table.ids[int(row)],
            digests[row].tobytes(),
            RejectReason.NOT_FINITE,
            f"row {row} of the file has a NaN or an infinity",
            "",
        )
        for row in np.flatnonzero(~keep)
    )
    return RowTables(
        table.ids.take(kept),
        digests[kept],
        table.labels[kept],
        table.classes,
        table.split[kept],
        table.group[kept],
        table.groups,
        np.zeros(len(kept), np.uint8),
        rejects,
    )


def _publish(
    place: CachePlace,
    tables: RowTables,
    meta: CacheMeta,
    features: NDArray[np.floating],
    keep: NDArray[np.bool_],
    *,
    prune: bool,
) -> bool:
    """Write the file, unless the live one was made of the same file and tables."""
    live = _live(place)
    if live is not None:
        guard_against_shrinking(live, still_there(live, tables), prune=prune, where=place.file)
        same = (live.meta.request, live.meta.source) == (meta.request, meta.source)
        if same and live.tables == tables and not len(live.damaged_rows()):
            return False
    blocks = stored_blocks(features, keep, meta.backbone.identity.stored_dtype)
    write_cache(place.file, tables, meta, blocks)
    return True


def _live(place: CachePlace) -> FeatureCache | None:
    """What is published under this name; nothing that is damaged."""
    try:
        return FeatureCache(place.file) if place.file.exists() else None
    except CacheError:
        return None
