import os
from collections.abc import Callable
from pathlib import Path

import builders
import h5py
import hostile
import numpy as np
import pytest
from hostile import Change

from embedcache.errors import CacheError, CacheInvalidError, FormatVersionError
from embedcache.store.cache import FeatureCache


def _odd_float() -> h5py.h5t.TypeID:
    """Two bytes with the exponent one bit longer: NumPy sees a float16 all the same."""
    kind = h5py.h5t.IEEE_F16LE.copy()
    kind.set_fields(15, 9, 6, 0, 9)
    return kind


def _short_integer() -> h5py.h5t.TypeID:
    """Four bytes of which thirty bits count: NumPy sees an int32 all the same."""
    kind = h5py.h5t.STD_I32LE.copy()
    kind.set_precision(30)
    return kind


def _enum() -> h5py.h5t.TypeID:
    return h5py.h5t.py_create(h5py.enum_dtype({"a": 0, "b": 1}, "i4"), logical=True)


def _link(name: str, link: Callable[[Path], object]) -> Change:
    def change(file: h5py.File, folder: Path) -> None:
        del file[name]
        file[name] = link(folder)

    return change


def _external_storage(file: h5py.File, folder: Path) -> None:
    secret = folder / "secret"
    secret.write_bytes(bytes(200))
    del file["labels"]
    file.create_dataset("labels", (50,), "<i4", external=[(str(secret), 0, 200)])


def _virtual(file: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout((50,), "<i4")
    layout[:] = h5py.VirtualSource(str(folder / "good.h5"), "labels", (50,))
    del file["labels"]
    file.create_virtual_dataset("labels", layout)


def _make(name: str, **how: object) -> Change:
    def change(file: h5py.File, _: Path) -> None:
        if name in file:
            del file[name]
        file.create_dataset(name, **how)

    return change


def _compact(file: h5py.File, _: Path) -> None:
    del file["numerics"]
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple((50,))
    h5py.h5d.create(file.id, b"numerics", h5py.h5t.STD_U8LE, space, dcpl=creation)


def _null(file: h5py.File, _: Path) -> None:
    del file["labels"]
    file["labels"] = h5py.Empty("<i4")


def _attribute(where: str, name: str, value: object, **how: object) -> Change:
    def change(file: h5py.File, _: Path) -> None:
        file[where].attrs.create(name, value, **how)

    return change


def _no_attribute(name: str) -> Change:
    def change(file: h5py.File, _: Path) -> None:
        del file.attrs[name]

    return change


def _remove(name: str) -> Change:
    def change(file: h5py.File, _: Path) -> None:
        del file[name]

    return change


def _group(name: str) -> Change:
    def change(file: h5py.File, _: Path) -> None:
        if name in file:
            del file[name]
        file.create_group(name)

    return change


def _swap(first: str, second: str) -> Change:
    def change(file: h5py.File, _: Path) -> None:
        file.move(first, "aside")
        file.move(second, first)
        file.move("aside", second)

    return change


def _elsewhere(name: str) -> Callable[[Path], object]:
    return lambda folder: h5py.ExternalLink(str(folder / "good.h5"), name)


_REFERENCE = h5py.special_dtype(ref=h5py.Reference)

_HOSTILE: dict[str, Change] = {
    "soft link to a table": _link("labels", lambda _: h5py.SoftLink("/group")),
    "soft link to itself": _link("labels", lambda _: h5py.SoftLink("/labels")),
    "soft link to nowhere": _link("labels", lambda _: h5py.SoftLink("/nowhere")),
    "soft link to a group": _link("ids", lambda _: h5py.SoftLink("/classes")),
    "external link to a table": _link("labels", _elsewhere("/labels")),
    "external link to a group": _link("ids", _elsewhere("/ids")),
    "external storage": _external_storage,
    "virtual data set": _virtual,
    "chunked": hostile.replace("labels", chunks=(10,)),
    "gzip": hostile.replace("features", chunks=(10, 16), compression="gzip"),
    "fletcher32": hostile.replace("labels", chunks=(10,), fletcher32=True),
    "resizable": hostile.replace("labels", chunks=(10,), maxshape=(None,)),
    "compact": _compact,
    "variable-length strings": _make("labels", data=["x"] * 50, dtype=h5py.string_dtype()),
    "variable-length arrays": _make("ids/data", shape=(50,), dtype=h5py.vlen_dtype("u1")),
    "references": _make("labels", shape=(50,), dtype=_REFERENCE),
    "shape bomb of rows": _make("features", shape=(1 << 40, 16), dtype="<f2"),
    "shape bomb of columns": _make("features", shape=(50, 1 << 50), dtype="<f2"),
    "shape bomb of names": _make("classes/data", shape=(1 << 50,), dtype="u1"),
    "shape bomb of sums": _make("checksums", shape=(1 << 60,), dtype="<u8"),
    "shape bomb without rows": _make("features", shape=(0, 1 << 62), dtype="<f2"),
    "table without space": _make("labels", shape=(50,), dtype="<i4"),
    "too few labels": _make("labels", data=np.zeros(49, "<i4")),
    "too many labels": _make("labels", data=np.zeros(51, "<i4")),
    "digests of another size": _make("sha256", data=np.zeros((50, 31), "u1")),
    "too few offsets": _make("ids/offsets", data=np.zeros(50, "<i8")),
    "no offsets": _make("classes/offsets", data=np.zeros(0, "<i8")),
    "two-dimensional labels": _make("labels", data=np.zeros((50, 1), "<i4")),
    "indicators of too few rows": _make("labels", data=np.zeros((49, 3), "u1")),
    "indicators of too few classes": _make("labels", data=np.zeros((50, 2), "u1")),
    "indicators of too many classes": _make("labels", data=np.zeros((50, 4), "u1")),
    "one-dimensional indicators": _make("labels", data=np.zeros(50, "u1")),
    "signed indicators": _make("labels", data=np.zeros((50, 3), "i1")),
    "bool indicators": _make("labels", data=np.zeros((50, 3), bool)),
    "shape bomb of indicators": _make("labels", shape=(50, 1 << 50), dtype="u1"),
    "one-dimensional features": _make("features", data=np.zeros(800, "<f2")),
    "scalar": _make("labels", data=np.int32(3)),
    "null": _null,
    "long labels": _make("labels", data=np.zeros(50, "<i8")),
    "unsigned labels": _make("labels", data=np.zeros(50, "<u4")),
    "big-endian labels": _make("labels", data=np.zeros(50, ">i4")),
    "float labels": _make("labels", data=np.zeros(50, "<f4")),
    "float16 labels": _make("labels", data=np.zeros(50, "<f2")),
    "bool numerics": _make("numerics", data=np.zeros(50, bool)),
    "signed numerics": _make("numerics", data=np.zeros(50, "i1")),
    "double features": _make("features", data=np.zeros((50, 16), "<f8")),
    "big-endian features": _make("features", data=np.zeros((50, 16), ">f2")),
    "bfloat16 features": _make("features", data=np.zeros((50, 16), "<u2")),
    "complex features": _make("features", data=np.zeros((50, 16), "<c8")),
    "compound": _make("labels", data=np.zeros(50, [("a", "<i4")])),
    "array type": _make("labels", shape=(50,), dtype=np.dtype(("<i4", (1,)))),
    "fixed strings": _make("labels", data=np.zeros(50, "S4")),
    "opaque": _make("labels", data=np.zeros(50, "V4")),
    "enum": hostile.retype("labels", _enum),
    "float of another make": hostile.retype("features", _odd_float),
    "integer of fewer bits": hostile.retype("labels", _short_integer),
    "extra data set": _make("extra", data=[1]),
    "extra data set in a group": _make("ids/extra", data=[1]),
    "extra group": _group("extra"),
    "missing data set": _remove("split"),
    "missing group": _remove("groups"),
    "a group for a data set": _group("labels"),
    "a data set for a group": _make("groups", data=[1]),
    "a named type for a data set": _link("labels", lambda _: np.dtype("<i4")),
    "extra attribute": _attribute("/", "extra", 1),
    "extra attribute of a group": _attribute("/rejects/ids", "extra", 1),
    "extra attribute of a data set": _attribute("/labels", "extra", "text"),
    "no version": _no_attribute("embedcache_format"),
    "version 0": _attribute("/", "embedcache_format", 0, dtype="<u4"),
    "signed version": _attribute("/", "embedcache_format", 1, dtype="<i4"),
    "version of text": _attribute("/", "embedcache_format", "1"),
    "versions": _attribute("/", "embedcache_format", [1, 1], dtype="<u4"),
    "empty version": _attribute("/", "embedcache_format", h5py.Empty("<u4")),
    "no sum": _no_attribute("sum"),
    "wrong sum": _attribute("/", "sum", 1, dtype="<u8"),
    "short sum": _attribute("/", "sum", 1, dtype="<u4"),
    "tables of one type swapped": _swap("labels", "group"),
    "tables of one shape swapped": _swap("split", "numerics"),
}


@pytest.fixture
def good(tmp_path: Path) -> FeatureCache:
    """A sound cache of 50 rows of 16 features."""
    return builders.make_cache(tmp_path / "good.h5")


def test_a_faithful_clone_is_accepted(good: FeatureCache, tmp_path: Path) -> None:
    """The hostile files below are refused for their change, not for being clones."""
    with hostile.clone(good.path, tmp_path / "bad.h5"):
        pass
    clone = hostile.everything(FeatureCache(tmp_path / "bad.h5"))
    assert hostile.is_same(clone, hostile.everything(good))


@pytest.mark.parametrize("name", _HOSTILE)
def test_hostile_files_are_refused(good: FeatureCache, tmp_path: Path, name: str) -> None:
    """Each is an invalid cache, exit 4, and nothing outside of it is read, written or locked."""
    with hostile.clone(good.path, tmp_path / "bad.h5") as file:
        _HOSTILE[name](file, tmp_path)
    before = {item.name: item.read_bytes() for item in tmp_path.iterdir()}
    with pytest.raises(CacheInvalidError) as caught:
        _ = FeatureCache(tmp_path / "bad.h5").X
    assert caught.value.exit_code == 4
    assert caught.value.where == str(tmp_path / "bad.h5")
    assert before == {item.name: item.read_bytes() for item in tmp_path.iterdir()}


@pytest.mark.parametrize("name", sorted(_HOSTILE.keys() - {"tables of one type swapped"}))
def test_hostile_files_are_refused_unverified(
    good: FeatureCache, tmp_path: Path, name: str
) -> None:
    """`verify=False` trusts the bytes of tables, never their layout: only a swap needs sums."""
    with hostile.clone(good.path, tmp_path / "bad.h5") as file:
        _HOSTILE[name](file, tmp_path)
    with pytest.raises(CacheInvalidError):
        FeatureCache(tmp_path / "bad.h5", verify=False)


def test_a_newer_format_is_named(good: FeatureCache, tmp_path: Path) -> None:
    """The error tells both versions and what to do, whatever else has changed in the format."""
    with hostile.clone(good.path, tmp_path / "new.h5") as file:
        file.attrs.create("embedcache_format", 2, dtype="<u4")
        del file.attrs["sum"], file["labels"]
    with pytest.raises(FormatVersionError, match="newer embedcache") as caught:
        FeatureCache(tmp_path / "new.h5")
    assert caught.value.exit_code == 4
    assert caught.value.got == "format 2"
    assert caught.value.hint == "pip install --upgrade embedcache"


@pytest.mark.parametrize(
    "properties",
    [
        {"userblock_size": 4096},
        {"alignment_threshold": 1, "alignment_interval": 1},
    ],
)
def test_other_places_of_tables_are_refused(
    good: FeatureCache, tmp_path: Path, properties: dict[str, int]
) -> None:
    """A foreign block before the file, or tables that are not aligned, are refused."""
    with hostile.clone(good.path, tmp_path / "bad.h5", **properties):
        pass
    with pytest.raises(CacheInvalidError):
        FeatureCache(tmp_path / "bad.h5")


@pytest.mark.parametrize("libver", ["earliest", "latest", "v110"])
def test_other_versions_of_hdf5_are_read(good: FeatureCache, tmp_path: Path, libver: str) -> None:
    """How HDF5 words its own headers is its own matter."""
    with hostile.clone(good.path, tmp_path / "other.h5", libver=libver):
        pass
    np.testing.assert_array_equal(FeatureCache(tmp_path / "other.h5").X, good.X)


@pytest.mark.parametrize(
    "content", [b"", b"\x89HDF\r\n\x1a\n", b"text", bytes(8192), b"\xff\xd8\xff\xe0JFIF"]
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    """What is no HDF5 file is an invalid cache."""
    (tmp_path / "bad.h5").write_bytes(content)
    with pytest.raises(CacheInvalidError, match="not a readable HDF5 file"):
        FeatureCache(tmp_path / "bad.h5")


def test_other_hdf5_files_are_not_caches(tmp_path: Path) -> None:
    """An HDF5 file of somebody else is told so."""
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file["features"] = np.zeros((3, 2))
    with pytest.raises(CacheInvalidError, match="not an embedcache cache"):
        FeatureCache(tmp_path / "bad.h5")


def test_one_file_behind_several_names(good: FeatureCache, tmp_path: Path) -> None:
    """Links to the file itself are the file system's business and fine."""
    (tmp_path / "soft.h5").symlink_to(good.path)
    os.link(good.path, tmp_path / "hard.h5")
    for name in ("soft.h5", "hard.h5"):
        np.testing.assert_array_equal(FeatureCache(tmp_path / name).X, good.X)


def test_plugins_are_never_loaded(
    good: FeatureCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that asks for an unknown filter is refused before the filter is looked for."""
    with hostile.clone(good.path, tmp_path / "bad.h5") as file:
        del file["labels"]
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_chunk((50,))
        creation.set_filter(32015, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple((50,))
        h5py.h5d.create(file.id, b"labels", h5py.h5t.STD_I32LE, space, dcpl=creation)
    monkeypatch.setenv("HDF5_PLUGIN_PATH", str(tmp_path))
    with pytest.raises(CacheError, match="chunked, filtered"):
        FeatureCache(tmp_path / "bad.h5")
