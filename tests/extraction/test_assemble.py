"""What another writer published meanwhile is taken over, and no row is lost."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import builders
import numpy as np
import pytest
from bench import Bench, add_photos
from builders import png
from fakes import FakeBackbone

from embedcache.errors import ShrinkError
from embedcache.extraction.assemble import Assembly, take_over
from embedcache.extraction.publication import guard_against_shrinking
from embedcache.records.strings import Strings
from embedcache.storage.digests import sha256
from embedcache.store.cache import FeatureCache
from embedcache.store.contents import RowTables
from embedcache.store.lookup import RowLookup
from embedcache.store.writer import write_cache


def _rows(names: dict[str, bytes], label: str, group: str) -> RowTables:
    count = len(names)
    return RowTables(
        Strings.of(names),
        np.frombuffer(b"".join(map(sha256, names.values())), np.uint8).reshape(-1, 32),
        np.zeros(count, np.int32),
        Strings.of([label]),
        np.full(count, 2, np.uint8),
        np.zeros(count, np.int32),
        Strings.of([group]),
        np.zeros(count, np.uint8),
        (),
    )


def _publish(path: Path, names: dict[str, bytes], base: FeatureCache | None = None) -> None:
    """What another process does: its own rows, beside those that were live before."""
    backbone = FakeBackbone().with_numerics(device="another")
    tables = _rows(names, "theirs", "their group")
    features = np.stack([backbone.features_of(data) for data in names.values()])
    meta = dataclasses.replace(builders.meta(6), numerics=(backbone.numerics,))
    if base is not None:
        old = base.tables
        count = len(old)
        tables = dataclasses.replace(
            tables,
            ids=Strings.concatenate([old.ids, tables.ids]),
            sha256=np.concatenate([old.sha256, tables.sha256]),
            labels=np.concatenate([np.full(count, -1, np.int32), tables.labels]),
            split=np.concatenate([old.split, tables.split]),
            group=np.concatenate([old.group, tables.group]),
            numerics=np.concatenate([old.numerics, tables.numerics]),
        )
        features = np.concatenate([base.X.astype(np.float32), features])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_cache(path, tables, meta, [features.astype(np.float16)])


def _theirs(bench: Bench, count: int = 3) -> dict[str, bytes]:
    """Pictures that lie in the folder only after it was listed."""
    names = {f"class9/new {index}.png": png(90_000 + index) for index in range(count)}
    (bench.photos / "class9").mkdir()
    for name, data in names.items():
        (bench.photos / name).write_bytes(data)
    return names


def _target(bench: Bench) -> Path:
    """Where the cache will be."""
    (work,) = bench.works()
    return work.with_name(work.name[1:].removesuffix(".work") + ".h5")


def _once(action: Callable[[], None]) -> FakeBackbone:
    return FakeBackbone(before_batch=lambda batches: action() if batches == 0 else None)


def test_rows_of_another_writer_are_taken_over(bench: Bench) -> None:
    """A cache that appears during the run keeps its rows, labels, groups and numerics."""
    names: dict[str, bytes] = {}

    def publish() -> None:
        names.update(_theirs(bench))
        _publish(_target(bench), names)

    with pytest.raises(AssertionError):  # their labels are other than their folders
        bench.extract(backbone=_once(publish))
    (cache,) = map(FeatureCache, bench.published())
    assert len(cache) == 15
    theirs = cache.select(ids=names)
    assert {cache.classes[code] for code in cache.y[theirs]} == {"theirs"}
    assert {cache.tables.groups.text(code) for code in cache.tables.group[theirs]} == {
        "their group"
    }
    assert set(cache.split[theirs].tolist()) == {2}
    for row in theirs:
        expected = bench.backbone.features_of(names[cache.ids.text(int(row))])
        np.testing.assert_array_equal(cache.X[row], expected.astype(np.float16))
        assert cache.meta.numerics[cache.tables.numerics[row]].device == "another"
    ours = np.setdiff1d(np.arange(15), theirs)
    assert {cache.classes[code] for code in cache.y[ours]} == {"class0", "class1", "class2"}
    assert set(cache.tables.group[ours].tolist()) == {-1}
    result = bench.extract()
    assert (result.rows, result.embedded) == (15, 0)


def test_rows_added_to_the_live_cache_are_taken_over(bench: Bench) -> None:
    """Both writers started from the same file: what either added is in the next one."""
    live = FeatureCache(bench.extract().cache)
    added = add_photos(bench.photos / "class1", 2)
    names: dict[str, bytes] = {}

    def publish() -> None:
        names.update(_theirs(bench))
        _publish(live.path, names, live)

    with pytest.raises(AssertionError):  # as above
        bench.extract(backbone=_once(publish))
    cache = FeatureCache(live.path)
    assert len(cache) == 12 + 2 + 3
    ids = set(cache.ids.texts())
    assert ids >= set(names)
    assert ids >= {str(path.relative_to(bench.photos)) for path in added}
    assert bench.extract().embedded == 0


def test_the_same_rows_of_another_writer_are_no_news(bench: Bench) -> None:
    """If another process published the same images, ours are written over them."""
    names = {
        str(path.relative_to(bench.photos)): path.read_bytes()
        for path in sorted(bench.photos.rglob("*.png"))
    }
    result = bench.extract(backbone=_once(lambda: _publish(_target(bench), names)))
    assert result.rows == 12
    assert FeatureCache(result.cache).classes == ("class0", "class1", "class2")


def test_a_removed_image_does_not_come_back(bench: Bench) -> None:
    """Rows that were live at the start and are gone from the source are not taken over."""
    live = FeatureCache(bench.extract().cache)
    (bench.photos / "class0" / "000.png").unlink()
    add_photos(bench.photos / "class1", 1)

    def publish() -> None:
        _publish(live.path, _theirs(bench), live)

    with pytest.raises(AssertionError):  # as above
        bench.extract(backbone=_once(publish))
    ids = FeatureCache(live.path).ids.texts()
    assert "class0/000.png" not in ids
    assert len(ids) == 11 + 1 + 3


def test_a_cache_of_another_backbone_in_the_way_is_replaced(bench: Bench) -> None:
    """A foreign file that appears under the name gives no rows."""
    other = dataclasses.replace(builders.IDENTITY, pooling="cls")

    def publish() -> None:
        write_cache(
            _target(bench),
            builders.tables(3),
            builders.meta(6, other),
            [builders.features(3, 6)],
        )

    assert bench.extract(backbone=_once(publish)).rows == 12


@pytest.mark.parametrize(
    ("rows", "prune", "refused"),
    [
        (50, False, False),
        (45, False, False),
        (44, False, True),
        (44, True, False),
        (0, True, False),
    ],
)
def test_the_guard_allows_a_tenth(tmp_path: Path, *, rows: int, prune: bool, refused: bool) -> None:
    """More than a tenth fewer rows are refused unless it is meant."""
    live = builders.make_cache(tmp_path / "c.h5", count=50)
    if refused:
        with pytest.raises(ShrinkError, match="expected: at least 45"):
            guard_against_shrinking(live, rows, prune=prune, where="here")
    else:
        guard_against_shrinking(live, rows, prune=prune, where="here")
    guard_against_shrinking(None, 0, prune=False, where="here")


MINE = (Strings.of(["a", "b"]), [{"a"}, None, {"b"}])
"""Names of classes, and the labels of three rows, `None` for unlabelled."""

THEIRS = (Strings.of(["b", "c"]), [None, {"b"}, {"c"}])


def _labelled(
    names: Strings, rows: list[set[str] | None], first: int, *, several: bool
) -> RowTables:
    """Tables of these labels, as codes or as indicators, ids counted from `first`."""
    texts = names.texts()
    codes = [-1 if row is None else texts.index(min(row)) for row in rows]
    labels = np.array(codes, np.int32)
    if several:
        table = [[255] * len(texts) if row is None else [t in row for t in texts] for row in rows]
        labels = np.array(table, np.uint8)
    pictures = {f"{first + at}.png": png(first + at) for at in range(len(rows))}
    return dataclasses.replace(_rows(pictures, "x", "y"), labels=labels, classes=names)


@pytest.mark.parametrize("mine_several", [False, True])
@pytest.mark.parametrize("theirs_several", [False, True])
def test_labels_of_both_kinds_are_merged_without_loss(
    tmp_path: Path, *, mine_several: bool, theirs_several: bool
) -> None:
    """Every row keeps its labels; several for each row where either side has several."""
    mine = _labelled(*MINE, 0, several=mine_several)
    theirs = _labelled(*THEIRS, 10, several=theirs_several)
    write_cache(tmp_path / "live.h5", theirs, builders.meta(4), [builders.features(3, 4)])
    live = FeatureCache(tmp_path / "live.h5")
    none = np.zeros(3, np.int32)
    assembly = Assembly(mine, (builders.NUMERICS,), none, none.astype(np.int64))
    tables = take_over(assembly, live, None, RowLookup()).tables
    assert tables.classes.texts() == ["a", "b", "c"]
    assert tables.is_multilabel == (mine_several or theirs_several)
    if tables.is_multilabel:
        assert tables.labels.dtype == np.uint8
        assert tables.labels.tolist() == [
            [1, 0, 0],
            [255] * 3,
            [0, 1, 0],
            [255] * 3,
            [0, 1, 0],
            [0, 0, 1],
        ]
    else:
        assert tables.labels.dtype == np.int32
        assert tables.labels.tolist() == [0, -1, 1, -1, 1, 2]
    assert RowTables.from_arrays(tables.arrays()) == tables
