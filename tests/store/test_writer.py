import dataclasses
import errno
import os
from pathlib import Path
from typing import NoReturn

import builders
import children
import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from embedcache.errors import StorageError
from embedcache.records.rejects import Reject, RejectReason
from embedcache.records.strings import Strings
from embedcache.store.cache import FeatureCache
from embedcache.store.contents import CacheMeta, RowTables
from embedcache.store.layout import ALIGNMENT, TABLES
from embedcache.store.writer import write_cache

_NAMES = st.binary(max_size=40).filter(lambda name: 0 not in name)
_LIMITED = """
    import resource, sys
    from pathlib import Path
    import builders
    from embedcache.errors import StorageError
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        builders.make_cache(Path(sys.argv[1]))
    except StorageError as error:
        print(error)
        sys.exit(error.exit_code)
"""


@st.composite
def _tables(draw: st.DrawFn) -> RowTables:
    ids = draw(st.lists(_NAMES, max_size=200, unique=True))
    classes, groups = draw(st.lists(_NAMES, max_size=9)), draw(st.lists(_NAMES, max_size=9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = len(ids)
    labels = rng.integers(-1, len(classes), count, np.int32)
    if draw(st.booleans()):
        labels = rng.integers(0, 2, (count, len(classes)), np.uint8)
        labels[rng.random(count) < 0.3] = 255
    rejects = st.builds(
        Reject,
        id=_NAMES,
        digest=st.binary(min_size=32, max_size=32),
        reason=st.sampled_from(RejectReason),
        detail=st.text(st.characters(codec="utf-8")),
        decoder=st.text(st.characters(codec="utf-8"), max_size=9),
    )
    return RowTables(
        Strings.of(ids),
        rng.integers(0, 256, (count, 32), np.uint8),
        labels,
        Strings.of(classes),
        rng.integers(0, 4, count, np.uint8),
        rng.integers(-1, len(groups), count, np.int32),
        Strings.of(groups),
        np.zeros(count, np.uint8),
        tuple(draw(st.lists(rejects, max_size=5))),
    )


def _meta(dim: int, dtype: str) -> CacheMeta:
    return builders.meta(dim, dataclasses.replace(builders.IDENTITY, stored_dtype=dtype))


def _random(shape: tuple[int, int], dtype: str) -> NDArray[np.floating]:
    rng = np.random.default_rng(shape[0])
    # Any bits at all: a file keeps what it is given, down to the payload of a NaN.
    size = shape[0] * shape[1] * np.dtype(dtype).itemsize
    return np.frombuffer(rng.bytes(size), dtype).reshape(shape)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(_tables(), st.integers(1, 40), st.sampled_from(["float16", "float32"]), st.integers(1, 70))
def test_what_is_written_is_read(
    tmp_path: Path, tables: RowTables, dim: int, dtype: str, chunk: int
) -> None:
    """All tables, the record and every bit of the features come back, however they were cut."""
    features = _random((len(tables), dim), dtype)
    blocks = [features[start : start + chunk] for start in range(0, len(tables), chunk)]
    write_cache(tmp_path / "c.h5", tables, _meta(dim, dtype), blocks)
    cache = FeatureCache(tmp_path / "c.h5")
    assert cache.tables == tables
    assert cache.tables.rejects == tables.rejects
    assert cache.X.dtype == dtype
    assert cache.X.shape == (len(tables), dim)
    assert cache.X.tobytes() == features.tobytes()
    expected = _meta(dim, dtype)
    assert cache.meta == expected.with_layout(
        len(tables), cache.meta.block_rows, cache.content_digest
    )
    assert not len(cache.damaged_rows())


def test_every_table_lies_as_the_format_says(tmp_path: Path) -> None:
    """All tables are contiguous, aligned, little-endian and bare, in a file without extras."""
    builders.make_cache(tmp_path / "c.h5", count=70, dim=5)
    with h5py.File(tmp_path / "c.h5") as file:
        names: list[str] = []
        file.visit(names.append)
        tables = {name for name in names if isinstance(file[name], h5py.Dataset)}
        assert tables == set(TABLES)
        assert set(file.attrs) == {"embedcache_format", "sum"}
        assert file.userblock_size == 0
        for name in names:
            assert not file[name].attrs
        for name in tables:
            table = file[name]
            assert table.id.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS
            assert table.id.get_offset() % ALIGNMENT == 0
            assert table.dtype.str[0] in "<|"
            assert table.compression is None


def test_files_of_one_label_are_as_they_always_were(tmp_path: Path) -> None:
    """Of a backbone that was not tuned, too: the digest of the content is the first version's."""
    tables = dataclasses.replace(builders.tables(50, 2), seen=None)
    write_cache(tmp_path / "c.h5", tables, builders.meta(16), [builders.features(50, 16)])
    cache = FeatureCache(tmp_path / "c.h5")
    assert not cache.seen.any()
    assert cache.content_digest == (
        "bfc5d235e037c6394a414e35ce468e0816090c21796e20dff79b854a8103a2d2"
    )


def test_the_file_is_readable_without_embedcache(tmp_path: Path) -> None:
    """h5py alone gives features, labels and names."""
    tables = builders.tables(9)
    features = builders.features(9, 4)
    write_cache(tmp_path / "c.h5", tables, builders.meta(4), [features])
    with h5py.File(tmp_path / "c.h5") as file:
        np.testing.assert_array_equal(file["features"][...], features)
        np.testing.assert_array_equal(file["labels"][...], tables.labels)
        offsets = file["ids/offsets"][...]
        assert file["ids/data"][offsets[3] : offsets[4]].tobytes() == tables.ids[3]


def test_the_same_content_makes_the_same_file(tmp_path: Path) -> None:
    """Two files of the same content are equal byte by byte, however the features came."""
    features = builders.features(30, 7)
    tables, meta = builders.tables(30, 3), builders.meta(7)
    write_cache(tmp_path / "a.h5", tables, meta, [features])
    write_cache(tmp_path / "b.h5", tables, meta, [features[:1], features[1:1], features[1:]])
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_other_content_has_another_digest(tmp_path: Path) -> None:
    """The content digest follows features and tables, and not the record."""
    features = builders.features(30, 7)
    tables, meta = builders.tables(30), builders.meta(7)
    relabelled = dataclasses.replace(tables, labels=np.zeros(30, np.int32))
    digests = []
    for number, (table, record, rows) in enumerate(
        [
            (tables, meta, features),
            (tables, dataclasses.replace(meta, root="/elsewhere"), features),
            (relabelled, meta, features),
            (tables, meta, features[::-1]),
        ]
    ):
        path = tmp_path / f"{number}.h5"
        write_cache(path, table, record, [rows])
        digests.append(FeatureCache(path).content_digest)
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


@pytest.mark.parametrize("features", [[], [np.zeros((29, 7), "f2")], [np.zeros((31, 7), "f2")]])
def test_a_wrong_number_of_rows_is_not_published(
    tmp_path: Path, features: list[NDArray[np.float16]]
) -> None:
    """Features and tables have to agree; nothing is left behind."""
    with pytest.raises(ValueError, match="for 30 rows"):
        write_cache(tmp_path / "c.h5", builders.tables(30), builders.meta(7), features)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("block", [np.zeros((30, 7), "f4"), np.zeros((30, 6), "f2")])
def test_a_wrong_block_is_not_published(tmp_path: Path, block: NDArray[np.floating]) -> None:
    """A block of another dtype or width is refused."""
    with pytest.raises(ValueError, match="got a block"):
        write_cache(tmp_path / "c.h5", builders.tables(30), builders.meta(7), [block])
    assert os.listdir(tmp_path) == []


def test_a_file_size_limit_is_an_error_with_a_message(tmp_path: Path) -> None:
    """The error exits 5 without a signal, names file and size, and nothing is left."""
    done = children.run(_LIMITED, tmp_path / "c.h5")
    assert done.returncode == 5, done.stderr
    assert str(tmp_path / "c.h5") in done.stdout
    assert "kB needed" in done.stdout
    assert "free" in done.stdout
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("call", ["posix_fallocate", "pwrite", "fsync", "replace"])
def test_a_full_disk_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Wherever the disk runs full, the live file stays as it was and nothing is left beside it."""
    builders.make_cache(tmp_path / "c.h5", count=5)
    before = (tmp_path / "c.h5").read_bytes()

    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(StorageError, match="no space left") as caught:
        builders.make_cache(tmp_path / "c.h5", count=50)
    assert caught.value.where == str(tmp_path / "c.h5")
    assert (tmp_path / "c.h5").read_bytes() == before
    assert os.listdir(tmp_path) == ["c.h5"]


def test_a_disk_without_room_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Free space is looked at before a byte is written."""
    monkeypatch.setattr("embedcache.storage.publish._free_bytes", lambda _: 1000)
    with pytest.raises(StorageError, match="not enough free space"):
        builders.make_cache(tmp_path / "c.h5")
    assert os.listdir(tmp_path) == []


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that writes less than it is given is asked again for the rest."""
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: write(fd, data[:1000], offset))
    cache = builders.make_cache(tmp_path / "c.h5", count=300)
    np.testing.assert_array_equal(cache.X, builders.features(300, 16))
