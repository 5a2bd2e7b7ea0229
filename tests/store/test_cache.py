import os
import pickle
import shutil
from pathlib import Path

import builders
import children
import h5py
import hostile
import numpy as np
import pytest

from embedcache.errors import CacheInvalidError, StorageError, UsageError
from embedcache.store.cache import FeatureCache
from embedcache.store.writer import write_cache

_FORBIDDEN = """
    import sys, h5py
    import children
    from embedcache.errors import StorageError
    from embedcache.store.cache import FeatureCache
    children.give_up_rights()
    try:
        FeatureCache(sys.argv[1])
    except StorageError as error:
        print(error.exit_code)
"""

_RACE = """
    import sys
    from pathlib import Path
    import builders
    while True:
        for count in (3, 60):
            builders.make_cache(Path(sys.argv[1]), count=count)
"""


def test_a_cache_says_what_it_is(cache: FeatureCache) -> None:
    """Length, dimension, identity, classes and rejects are there without touching a feature."""
    assert len(cache) == 45
    assert cache.dim == 16
    assert cache.identity == builders.IDENTITY
    assert cache.classes == ("class0", "class1", "class2")
    assert [reject.id for reject in cache.rejects] == [b"bad0.png", b"bad1.png"]
    assert "45 rows" in repr(cache)
    with cache as same:
        assert same is cache


def test_features_come_whole_by_rows_or_by_blocks(cache: FeatureCache) -> None:
    """All three ways give the same values."""
    expected = builders.features(45, 16)
    np.testing.assert_array_equal(cache.X, expected)
    rows = np.array([44, 0, 13, 13])
    np.testing.assert_array_equal(cache.rows(rows), expected[rows])
    assert cache.rows(np.array([], np.int64)).shape == (0, 16)
    seen = np.zeros((45, 16), np.float16)
    for where, block in cache.blocks():
        assert len(block) <= 10
        seen[where] = block
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize("rows", [[45], [-1], [0, 99]])
def test_rows_that_do_not_exist_are_refused(cache: FeatureCache, rows: list[int]) -> None:
    """Row numbers count from the start only."""
    with pytest.raises(IndexError):
        cache.rows(np.array(rows))


def test_a_mask_is_no_list_of_rows(cache: FeatureCache) -> None:
    """A boolean mask would bypass the check of its blocks and is refused."""
    with pytest.raises(IndexError):
        cache.rows(cache.y == 1)


def test_damage_is_found_when_a_block_is_handed_out(cache: FeatureCache) -> None:
    """Other blocks stay usable, and the error names rows and remedy."""
    hostile.flip_feature(cache.path, 13)
    hostile.flip_feature(cache.path, 44)
    damaged = FeatureCache(cache.path)
    np.testing.assert_array_equal(
        damaged.rows(np.array([0, 9, 20, 39])), builders.features(45, 16)[[0, 9, 20, 39]]
    )
    np.testing.assert_array_equal(damaged.damaged_rows(), [*range(10, 20), *range(40, 45)])
    with pytest.raises(CacheInvalidError, match="rows 10 to 19 are damaged") as caught:
        damaged.rows(np.array([0, 19]))
    assert caught.value.exit_code == 4
    assert "verify --repair" in str(caught.value)
    with pytest.raises(CacheInvalidError, match="rows 10 to 19"):
        _ = damaged.X
    blocks = damaged.blocks()
    next(blocks)
    with pytest.raises(CacheInvalidError, match="rows 10 to 19"):
        next(blocks)


def test_without_verifying_damage_goes_unnoticed(cache: FeatureCache) -> None:
    """`verify=False` hands out what is there, but can still be asked for damage."""
    hostile.flip_feature(cache.path, 13)
    trusting = FeatureCache(cache.path, verify=False)
    assert not np.array_equal(trusting.X, builders.features(45, 16))
    np.testing.assert_array_equal(trusting.damaged_rows(), range(10, 20))


def test_writing_into_features_leaves_the_file_alone(cache: FeatureCache) -> None:
    """The map is private: neither the file nor another reader sees the change."""
    before = cache.path.read_bytes()
    cache.X[:] = 7
    cache.y[:] = 0
    assert (cache.X == 7).all()
    assert cache.path.read_bytes() == before
    np.testing.assert_array_equal(FeatureCache(cache.path).X, builders.features(45, 16))


def test_a_cache_pickles_as_its_path(cache: FeatureCache) -> None:
    """Worker processes open the file themselves: a pickle is short and holds no features."""
    data = pickle.dumps(cache)
    assert len(data) < 500
    np.testing.assert_array_equal(pickle.loads(data).X, cache.X)


def test_a_snapshot_outlives_its_file(cache: FeatureCache) -> None:
    """Publishing over the file, or deleting it, changes nothing for who has it open."""
    builders.make_cache(cache.path, count=7, dim=16)
    assert len(FeatureCache(cache.path)) == 7
    np.testing.assert_array_equal(cache.X, builders.features(45, 16))
    cache.path.unlink()
    assert cache.select(label="class1").size
    assert not len(cache.damaged_rows())


def test_opening_while_files_are_published_never_fails(tmp_path: Path) -> None:
    """A reader gets one file or the other, however fast they replace each other."""
    path = tmp_path / "c.h5"
    builders.make_cache(path, count=3)
    with children.start(_RACE, path) as writer:
        try:
            seen: list[int] = []
            # A busy machine may let the writer begin late; the time limit ends an endless wait.
            while len(seen) < 150 or set(seen) != {3, 60}:
                seen.append(len(FeatureCache(path)))
                assert seen[-1] in {3, 60}
        finally:
            writer.kill()


def test_a_file_larger_than_memory_opens(tmp_path: Path) -> None:
    """A cache may exceed memory and swap: the map reserves none of it."""
    path = tmp_path / "c.h5"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cache = builders.make_cache(path, count=5)
    with open(path, "r+b") as file:
        file.truncate(8 * memory)  # a hole takes no room on the disk
    np.testing.assert_array_equal(FeatureCache(path).X, cache.X)


def test_select_combines_conditions(cache: FeatureCache) -> None:
    """Rows come ascending and meet every condition."""
    rows = cache.select(split="train", label="class0")
    assert rows.dtype == np.int64
    np.testing.assert_array_equal(rows, np.arange(1, 45, 4))
    np.testing.assert_array_equal(cache.select(), np.arange(45))
    np.testing.assert_array_equal(cache.select(split=""), np.arange(0, 45, 4))
    wanted = ["class1/picture 1.png", "class0/picture 0.png"]
    np.testing.assert_array_equal(cache.select(ids=wanted), [0, 1])
    assert not len(cache.select(ids=wanted, split="test"))
    assert not len(cache.select(ids=[]))


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"split": "training"}, "unknown split"),
        ({"label": "class9"}, "unknown class"),
        ({"ids": ["class0/picture 0.png", "nope"]}, "1 ids are not in the cache"),
    ],
)
def test_unknown_names_are_usage_errors(
    cache: FeatureCache, condition: dict[str, str], message: str
) -> None:
    """A split, class or id that is not there is named."""
    with pytest.raises(UsageError, match=message) as caught:
        cache.select(**condition)
    assert caught.value.got is not None


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "dangling"])
def test_no_file_is_a_usage_error(tmp_path: Path, kind: str) -> None:
    """What is not a regular file is not opened, and a FIFO does not hang."""
    path = tmp_path / "c.h5"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "dangling":
        path.symlink_to("nowhere")
    with pytest.raises(UsageError, match=r"no cache file|a folder stands") as caught:
        FeatureCache(path)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("closed", ["file", "folder"])
def test_a_forbidden_file_is_a_storage_error(cache: FeatureCache, closed: str) -> None:
    """Permissions on the file or its folder are said to be the reason."""
    (cache.path if closed == "file" else cache.path.parent).chmod(0)
    try:
        assert children.output(_FORBIDDEN, cache.path) == "5\n"
    finally:
        cache.path.parent.chmod(0o700)


def test_a_relative_path_is_kept_absolute(
    cache: FeatureCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache knows its place after the working folder has changed."""
    monkeypatch.chdir(tmp_path)
    opened = FeatureCache("c.h5")
    monkeypatch.chdir("/")
    assert opened.path == cache.path
    assert len(pickle.loads(pickle.dumps(opened))) == 45


def test_a_copy_elsewhere_is_the_same_cache(cache: FeatureCache, tmp_path: Path) -> None:
    """Nothing in the file depends on where it lies, and h5py may hold it open meanwhile."""
    shutil.copy(cache.path, tmp_path / "copy.h5")
    with h5py.File(tmp_path / "copy.h5"):
        assert FeatureCache(tmp_path / "copy.h5").content_digest == cache.content_digest


def test_reading_a_read_only_place_works(cache: FeatureCache) -> None:
    """Reading neither locks nor writes anything."""
    before = sorted(os.listdir(cache.path.parent))
    cache.path.chmod(0o444)
    assert len(FeatureCache(cache.path)) == 45
    assert sorted(os.listdir(cache.path.parent)) == before


def test_running_out_of_maps_is_a_storage_error(
    cache: FeatureCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the system will not map the file, that is said as an error of the storage."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("mmap.mmap", refuse)
    with pytest.raises(StorageError):
        FeatureCache(cache.path)


def test_rows_of_several_labels_are_selected_by_each(tmp_path: Path) -> None:
    """Labels come as indicators, and a class has every row that is marked for it."""
    whole = builders.multilabel_tables(20)
    write_cache(tmp_path / "m.h5", whole, builders.meta(4), [builders.features(20, 4)])
    cache = FeatureCache(tmp_path / "m.h5")
    assert cache.is_multilabel
    assert (cache.y.shape, cache.y.dtype) == ((20, 3), "uint8")
    np.testing.assert_array_equal(cache.y, whole.labels)
    for code, name in enumerate(cache.classes):
        rows = [row for row in range(20) if whole.labels[row, code] == 1]
        assert cache.select(label=name).tolist() == rows
        assert cache.select(label=name, split="val").tolist() == [r for r in rows if r % 4 == 2]
    with pytest.raises(UsageError, match="unknown class"):
        cache.select(label="255")


def test_one_label_a_row_is_not_multilabel(cache: FeatureCache) -> None:
    """Labels are codes."""
    assert not cache.is_multilabel
    assert (cache.y.shape, cache.y.dtype) == ((45,), "int32")
