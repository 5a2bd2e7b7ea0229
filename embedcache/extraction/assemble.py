"""Put the rows of a cache together: samples beside their features, and what others added.

N is the number of rows of the new file, D the embedding dimension, K the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.records.identity import Numerics
from embedcache.records.label_arrays import UNLABELLED, Labels, labelled, one_hot
from embedcache.records.manifest import Manifest
from embedcache.records.rejects import Reject
from embedcache.records.strings import Strings
from embedcache.store.cache import FeatureCache
from embedcache.store.contents import RowTables
from embedcache.store.lookup import RowLookup

__all__ = ["Assembly", "assemble", "take_over"]


@dataclass(frozen=True, eq=False)
class Assembly:
    """A cache file before it is written.

    Attributes:
        tables: Its N rows.
        numerics: The list that `tables.numerics` points into.
        cache: (N,) int32, which cache of the lookup holds each row's features.
        row: (N,) int64, the row there.
    """

    tables: RowTables
    numerics: tuple[Numerics, ...]
    cache: NDArray[np.int32]
    row: NDArray[np.int64]


def assemble(
    manifest: Manifest, digests: NDArray[np.uint8], rejects: dict[int, Reject], lookup: RowLookup
) -> Assembly:
    """Put every sample that is not rejected beside its features.

    Args:
        manifest: The samples, M of them.
        digests: (M, 32) uint8.
        rejects: Samples without a row.
        lookup: Where the features are.
    """
    keep = np.ones(len(manifest), bool)
    keep[list(rejects)] = False
    kept = np.flatnonzero(keep)
    caches, rows = lookup.find_all(digests[kept])
    assert (caches >= 0).all(), "every sample that was not rejected has features"
    entries: list[Numerics] = []
    codes = np.zeros(len(kept), np.uint8)
    for number in np.unique(caches):
        cache = lookup.caches[number]
        mine = caches == number
        translated = np.zeros(len(cache.meta.numerics), np.uint8)
        used = cache.tables.numerics[rows[mine]]
        for code in np.unique(used):
            entry = cache.meta.numerics[code]
            if entry not in entries:
                entries.append(entry)
            translated[code] = entries.index(entry)
        codes[mine] = translated[used]
    samples = manifest.take(kept)
    tables = RowTables(
        samples.ids,
        digests[kept],
        samples.labels,
        samples.classes,
        samples.split,
        samples.group,
        samples.groups,
        codes,
        tuple(rejects[row] for row in sorted(rejects)),
    )
    return Assembly(tables, tuple(entries), caches, rows)


def take_over(
    assembly: Assembly, live: FeatureCache, baseline: FeatureCache | None, lookup: RowLookup
) -> Assembly:
    """The assembly and, after its rows, those that appeared in the live file meanwhile.

    Args:
        assembly: The new rows.
        live: The published cache.
        baseline: The published cache as it was when the new rows were planned.
        lookup: Where the features are; the live cache is added if it has rows to give.
    """
    known = set(assembly.tables.ids)
    known.update(reject.id for reject in assembly.tables.rejects)
    if baseline is not None:
        known.update(baseline.ids)
    new = np.array([row for row, id_ in enumerate(live.ids) if id_ not in known], np.int64)
    if not len(new):
        return assembly
    lookup.add(live)
    number = len(lookup.caches) - 1
    mine, theirs = assembly.tables, live.tables
    classes, label_of = _merge_names(mine.classes, theirs.classes)
    groups, group_of = _merge_names(mine.groups, theirs.groups)
    entries = list(assembly.numerics)
    entries += [entry for entry in live.meta.numerics if entry not in entries]
    code_of = np.array([entries.index(entry) for entry in live.meta.numerics], np.uint8)
    tables = RowTables(
        Strings.concatenate([mine.ids, theirs.ids.take(new)]),
        np.concatenate([mine.sha256, theirs.sha256[new]]),
        _merge_labels(mine.labels, theirs.labels[new], label_of, len(mine.classes), len(classes)),
        classes,
        np.concatenate([mine.split, theirs.split[new]]),
        np.concatenate([mine.group, group_of[theirs.group[new]]]),
        groups,
        np.concatenate([mine.numerics, code_of[theirs.numerics[new]]]),
        mine.rejects,
    )
    return Assembly(
        tables,
        tuple(entries),
        np.concatenate([assembly.cache, np.full(len(new), number, np.int32)]),
        np.concatenate([assembly.row, new]),
    )


def _merge_labels(
    mine: Labels, theirs: Labels, code_of: NDArray[np.int32], first: int, classes: int
) -> Labels:
    """The labels of the rows of both, several for each row if either has several.

    Args:
        mine: Labels whose classes come first among all K.
        theirs: Labels of other rows.
        code_of: The new code of each of their classes; the last entry maps -1 to -1.
        first: How many classes `mine` has.
        classes: K.
    """
    if mine.ndim == theirs.ndim == 1:
        return np.concatenate([mine, code_of[theirs]]).astype(np.int32, copy=False)
    unchanged = np.array([*range(first), -1], np.int32)
    return np.concatenate([_spread(mine, unchanged, classes), _spread(theirs, code_of, classes)])


def _spread(labels: Labels, code_of: NDArray[np.int32], classes: int) -> NDArray[np.uint8]:
    """Labels as (N, K) indicators, their class i as `code_of[i]`."""
    if labels.ndim == 1:
        return one_hot(code_of[labels], classes)
    wide = np.zeros((len(labels), classes), np.uint8)
    wide[:, code_of[:-1]] = labels
    wide[~labelled(labels)] = UNLABELLED
    return wide


def _merge_names(mine: Strings, theirs: Strings) -> tuple[Strings, NDArray[np.int32]]:
    """All names, mine first, and the new code of each of theirs; the last entry maps -1 to -1."""
    codes = {name: code for code, name in enumerate(mine)}
    for name in theirs:
        codes.setdefault(name, len(codes))
    return Strings.of(codes), np.array([*(codes[name] for name in theirs), -1], np.int32)
