"""From caches to the `Problem` that heads see: of one cache, or of several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UsageError
from embedcache.heads.problem import Problem
from embedcache.heads.side_by_side import SideBySide
from embedcache.records.feature_source import FeatureSource
from embedcache.records.label_arrays import UNLABELLED, Labels, is_multilabel, labelled, one_hot
from embedcache.records.manifest import SPLITS
from embedcache.records.seen import UNSEEN
from embedcache.store.cache import FeatureCache

__all__ = ["check_one_label", "one_label_problem_of", "problem_of", "side_by_side"]


def problem_of(cache: FeatureCache) -> Problem:
    """A cache's features and labels, as heads see them."""
    tables: Any = cache.tables
    return Problem(
        features=cache.X,
        labels=tables.labels,
        classes=cache.classes,
        digests=tables.sha256,
        ids=tables.ids,
        split=tables.split,
        group=tables.group,
        groups=tables.groups,
        sources=(_source(cache),),
        dataset=cache.path.parent.name,
        seen=None if tables.seen is None else tables.seen != UNSEEN,
    )


def one_label_problem_of(cache: FeatureCache) -> Problem:
    """The same of a cache whose images have one label each.

    Raises:
        UsageError: They have any number of labels.
    """
    check_one_label(cache)
    return problem_of(cache)


def check_one_label(cache: FeatureCache) -> None:
    """Refuse a cache whose images have any number of labels.

    Raises:
        UsageError: With what such a cache is for.
    """
    if cache.is_multilabel:
        raise UsageError(
            "decide and finetune take one label for each image so far",
            where=cache.path,
            got=f"any number of {len(cache.classes):,} labels for each image",
            hint="embedcache fit-head CACHE takes them; embedcache compare RUN RUN tells which "
            "head or backbone is better",
        )


def side_by_side(caches: Sequence[FeatureCache]) -> tuple[Problem, tuple[str, ...]]:
    """The images that all caches have, their features column after column.

    Names, labels, splits and groups are those of the first cache, and so is the order
    of the rows.

    Args:
        caches: One or more, each of another backbone.

    Returns:
        The problem, and sentences on what is left out and where the caches disagree.

    Raises:
        UsageError: Two caches hold the same columns, or no image is in all of them.
    """
    first, *others = caches
    problem = problem_of(first)
    if not others:
        return problem, ()
    _check_different(caches)
    rows, places = np.arange(len(first)), []
    for cache in others:
        place = _places(_images(cache), _images(first))
        rows = rows[place[rows] >= 0]
        places.append(place)
    if not len(rows):
        raise UsageError(
            "these caches have no image in common",
            got=", ".join(f"{_name(cache)} ({len(cache)} rows)" for cache in caches),
            expected="several backbones' features of the same images, joined by the digest "
            "of each image's bytes",
            hint="to fit the rows of several folders, extract them as one data set",
        )
    parts = [rows, *(place[rows] for place in places)]
    joined = Problem(
        features=SideBySide(tuple(cache.X for cache in caches), tuple(parts)),
        labels=problem.labels[rows],
        classes=problem.classes,
        digests=problem.digests[rows],
        ids=problem.ids.take(rows),
        split=problem.split[rows],
        group=problem.group[rows],
        groups=problem.groups,
        sources=tuple(map(_source, caches)),
        dataset=problem.dataset,
        seen=_seen(caches, parts),
    )
    return joined, (*_left_out(caches, parts), *_disagreements(caches, parts))


def _source(cache: FeatureCache) -> FeatureSource:
    name = cache.meta.backbone.name
    return FeatureSource(name, cache.identity, cache.content_digest, cache.dim)


def _seen(
    caches: Sequence[FeatureCache], parts: Sequence[NDArray[np.int64]]
) -> NDArray[np.bool_] | None:
    """Which rows any of the backbones has seen."""
    tables = [
        cache.tables.seen[rows] != UNSEEN
        for cache, rows in zip(caches, parts, strict=True)
        if cache.tables.seen is not None
    ]
    return np.any(tables, axis=0) if tables else None


def _check_different(caches: Sequence[FeatureCache]) -> None:
    for cache, other in combinations(caches, 2):
        if cache.identity == other.identity:
            raise UsageError(
                "two of these caches hold features of the same backbone: side by side they "
                "say everything twice",
                got=f"{_name(cache)} and {_name(other)}",
                expected="caches of different backbones, layers or image sizes",
                hint="to fit the rows of several folders, extract them as one data set",
            )


def _images(cache: FeatureCache) -> NDArray[np.void]:
    """The digests as one value for each row, (N,) of 32 raw bytes."""
    return np.ascontiguousarray(cache.sha256).view("V32").ravel()


def _places(images: NDArray[np.void], wanted: NDArray[np.void]) -> NDArray[np.int64]:
    """The first position of each wanted image, −1 where it is not there."""
    if not len(images):
        return np.full(len(wanted), -1)
    known, first = np.unique(images, return_index=True)
    found = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[found] == wanted, first[found], -1)


def _name(cache: FeatureCache) -> str:
    return f"{cache.path.parent.name}/{cache.path.name}"


def _left_out(
    caches: Sequence[FeatureCache], parts: Sequence[NDArray[np.int64]]
) -> tuple[str, ...]:
    """How many rows of each cache have an image that another cache does not have."""
    kept = np.unique(_images(caches[0])[parts[0]])
    counts = [(cache, int((~np.isin(_images(cache), kept)).sum())) for cache in caches]
    missing = [f"{count} rows of {_name(cache)}" for cache, count in counts if count]
    if not missing:
        return ()
    return (f"left out, as their images are not in every cache: {', '.join(missing)}",)


def _disagreements(
    caches: Sequence[FeatureCache], parts: Sequence[NDArray[np.int64]]
) -> tuple[str, ...]:
    first, mine = caches[0].tables, parts[0]
    notes = []
    for cache, rows in zip(caches[1:], parts[1:], strict=True):
        other = cache.tables
        counts = {
            "labels": _differing_labels(
                (first.labels[mine], caches[0].classes), (other.labels[rows], cache.classes)
            ),
            "splits": _differing((first.split[mine], SPLITS), (other.split[rows], SPLITS)),
            "groups": _differing(
                (first.group[mine], first.groups.texts()), (other.group[rows], other.groups.texts())
            ),
        }
        notes += [
            f"{count} rows have other {what} in {_name(cache)}: those of {_name(caches[0])} count"
            for what, count in counts.items()
            if count
        ]
    return tuple(notes)


_Labels = tuple[Labels, Sequence[str]]


def _differing_labels(first: _Labels, other: _Labels) -> int:
    """How many rows have other labels; one label and a set of that one are the same."""
    if first[0].ndim == other[0].ndim == 1:
        return _differing(first, other)
    names = sorted({*first[1], *other[1]})
    one, two = (_marks(labels, classes, names) for labels, classes in (first, other))
    return int((one != two).any(axis=1).sum())


def _marks(labels: Labels, classes: Sequence[str], names: Sequence[str]) -> NDArray[np.uint8]:
    """Indicators (N, number of names), UNLABELLED throughout a row without a label."""
    own = labels if is_multilabel(labels) else one_hot(labels.astype(np.int32), len(classes))
    marks = np.zeros((len(labels), len(names)), np.uint8)
    marks[:, [names.index(name) for name in classes]] = own
    marks[~labelled(labels)] = UNLABELLED
    return marks


def _differing(
    first: tuple[NDArray[np.integer], Sequence[str]],
    other: tuple[NDArray[np.integer], Sequence[str]],
) -> int:
    """How many rows have codes of different names; a negative code is no name."""
    codes = {name: code for code, name in enumerate(first[1])}
    # The last entry is for the code −1; −2 is a name that the first does not have.
    renamed = np.array([*(codes.get(name, -2) for name in other[1]), -1])
    return int((renamed[other[0].astype(np.int64)] != first[0]).sum())
