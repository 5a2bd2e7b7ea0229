"""One problem from several caches of the same images."""

from dataclasses import replace
from pathlib import Path

import builders
import numpy as np
import pytest

from embedcache.errors import UsageError
from embedcache.records.strings import Strings
from embedcache.store.cache import FeatureCache
from embedcache.store.contents import RowTables
from embedcache.store.writer import write_cache
from embedcache.workflows.problem import one_label_problem_of, problem_of, side_by_side


def cache(folder: Path, tables: RowTables, dim: int, **identity: str) -> FeatureCache:
    """A cache of random features of these rows."""
    mine = replace(builders.IDENTITY, **identity)
    path = folder / "pets" / f"fake-{mine.short}.h5"
    path.parent.mkdir(exist_ok=True)
    rows = builders.features(len(tables.labels), dim, seed=dim)
    write_cache(path, tables, builders.meta(dim, mine), [rows])
    return FeatureCache(path)


def taken(tables: RowTables, rows: np.ndarray) -> RowTables:
    """Some of the rows, in another order."""
    names = ("sha256", "labels", "split", "group", "numerics", "seen")
    changes = {name: getattr(tables, name)[rows] for name in names}
    return replace(tables, ids=tables.ids.take(rows), **changes)


def test_rows_are_joined_by_digest(tmp_path: Path) -> None:
    """Each common image has the features of both, in the first cache's order."""
    whole = builders.tables(40)
    first = cache(tmp_path, taken(whole, np.arange(30)), 5)
    order = np.random.default_rng(0).permutation(40)[:25]
    second = cache(tmp_path, taken(whole, order), 7, layer="early")
    problem, notes = side_by_side([first, second])
    common = [row for row in range(30) if row in order]
    assert np.array_equal(problem.digests, whole.sha256[common])
    assert list(problem.ids) == [whole.ids[row] for row in common]
    for name in ("labels", "split", "group"):
        assert np.array_equal(getattr(problem, name), getattr(whole, name)[common])
    places = [int(np.flatnonzero(order == row)[0]) for row in common]
    features = problem.features[np.arange(len(common))]
    assert np.array_equal(features[:, :5], first.X[common])
    assert np.array_equal(features[:, 5:], second.X[places])
    (note,) = notes
    assert f"{30 - len(common)} rows of pets/{first.path.name}" in note
    assert f"{25 - len(common)} rows of pets/{second.path.name}" in note
    assert [source.dim for source in problem.sources] == [5, 7]
    assert [source.identity for source in problem.sources] == [first.identity, second.identity]
    assert [source.content_digest for source in problem.sources] == [
        first.content_digest,
        second.content_digest,
    ]


def test_one_cache_is_itself(tmp_path: Path) -> None:
    """Nothing is copied, and there is nothing to say."""
    only = cache(tmp_path, builders.tables(10), 5)
    problem, notes = side_by_side([only])
    assert notes == ()
    assert np.shares_memory(problem.features, only.X)
    assert problem.sources == problem_of(only).sources


def test_copies_of_an_image_keep_their_rows(tmp_path: Path) -> None:
    """Two names of the same bytes in the first cache meet the one row of the second."""
    whole = builders.tables(6)
    first = cache(tmp_path, taken(whole, np.array([0, 1, 1, 2])), 3)
    second = cache(tmp_path, taken(whole, np.array([2, 1, 0])), 4, layer="early")
    problem, notes = side_by_side([first, second])
    assert notes == ()
    assert np.array_equal(problem.features[np.arange(4)][:, 3:], second.X[[2, 1, 1, 0]])


def test_disagreements_are_said_and_the_first_counts(tmp_path: Path) -> None:
    """Labels by name, splits and groups; codes alone may differ."""
    whole = builders.tables(12)
    renumbered = np.array([2, 0, 1])  # class0 is now the third of the list
    labels = np.where(whole.labels < 0, -1, renumbered[whole.labels]).astype(np.int32)
    same = replace(whole, labels=labels, classes=Strings.of(["class1", "class2", "class0"]))
    first = cache(tmp_path, whole, 3)
    assert side_by_side([first, cache(tmp_path, same, 4, layer="early")])[1] == ()
    labels, split = whole.labels.copy(), whole.split.copy()
    labels[:3] = (whole.labels[:3] + 1) % 3
    split[4:6] = 0
    group = np.full(12, -1, np.int32)
    other = cache(tmp_path, replace(whole, labels=labels, split=split, group=group), 5, layer="b")
    problem, notes = side_by_side([first, other])
    assert np.array_equal(problem.labels, whole.labels)
    assert [note.partition(" in ")[0] for note in notes] == [
        "3 rows have other labels",
        "1 rows have other splits",
        "8 rows have other groups",
    ]


def test_caches_without_a_common_image_are_refused(tmp_path: Path) -> None:
    """They are joined by image, never stacked, and the error says how to stack."""
    whole = builders.tables(20)
    first = cache(tmp_path, taken(whole, np.arange(10)), 3)
    other = cache(tmp_path, taken(whole, np.arange(10, 20)), 4, layer="early")
    with pytest.raises(UsageError, match="no image in common") as caught:
        side_by_side([first, other])
    assert "extract them as one data set" in str(caught.value)
    empty = cache(tmp_path, builders.tables(0), 5, layer="empty")
    with pytest.raises(UsageError, match="no image in common"):
        side_by_side([first, empty])


def test_the_same_columns_twice_are_refused(tmp_path: Path) -> None:
    """A second cache of one backbone adds nothing."""
    first = cache(tmp_path, builders.tables(10), 3)
    with pytest.raises(UsageError, match="same backbone"):
        side_by_side([first, first])


def test_labels_of_several_caches_are_compared_by_name(tmp_path: Path) -> None:
    """Sets of labels join like labels, the first cache's count, and differences are counted."""
    tables = builders.multilabel_tables(20)
    several = cache(tmp_path, tables, 7, layer="early")
    one = cache(tmp_path, builders.tables(20), 5)
    other = tables.labels.copy()
    other[1, 0] ^= 1
    changed = cache(tmp_path, replace(tables, labels=other), 3, layer="late")
    joined, notes = side_by_side([several, changed])
    assert np.array_equal(joined.labels, several.y)
    assert next(note for note in notes if "labels" in note).startswith("1 rows have other labels")
    joined, notes = side_by_side([one, several])
    assert joined.labels.ndim == 1
    assert any("other labels" in note for note in notes)


def test_a_cache_of_several_labels_is_refused_where_one_is_wanted(tmp_path: Path) -> None:
    """One clear error with the cache and what takes it."""
    several = cache(tmp_path, builders.multilabel_tables(20), 7)
    with pytest.raises(UsageError, match="one label for each image") as caught:
        one_label_problem_of(several)
    assert caught.value.where == str(several.path)
