import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import builders
import numpy as np
import pytest

from embedcache.errors import CacheInvalidError
from embedcache.records.strings import Strings
from embedcache.store.cache import FeatureCache
from embedcache.store.contents import CacheMeta, RowTables
from embedcache.store.writer import write_cache


def _offsets(*values: int) -> Strings:
    return Strings(np.frombuffer(b"0123456789", np.uint8), np.array(values, np.int64))


def _codes(code: int, dtype: str) -> np.ndarray[Any, Any]:
    return np.array([0, 0, code], dtype)


def _rows(*rows: list[int]) -> np.ndarray[Any, Any]:
    return np.array(rows, "u1")


_CONTRADICTIONS = {
    "label below -1": {"labels": _codes(-2, "i4")},
    "label past the classes": {"labels": _codes(3, "i4")},
    "label far past the classes": {"labels": _codes(2**31 - 1, "i4")},
    "label without classes": {"labels": _codes(0, "i4"), "classes": Strings.of([])},
    "an indicator of 2": {"labels": _rows([0, 1, 1], [0, 2, 1], [255] * 3)},
    "an indicator of 254": {"labels": _rows([0, 1, 1], [254] * 3, [255] * 3)},
    "a row that is half labelled": {"labels": _rows([0, 1, 1], [0, 255, 1], [255] * 3)},
    "a row of 255 and 2": {"labels": _rows([0, 1, 1], [2, 255, 255], [255] * 3)},
    "group below -1": {"group": _codes(-2, "i4")},
    "group past the groups": {"group": _codes(2, "i4")},
    "split past the splits": {"split": _codes(4, "u1")},
    "numerics past the list": {"numerics": _codes(1, "u1")},
    "ids that fall": {"ids": _offsets(0, 7, 5, 10)},
    "ids that end early": {"ids": _offsets(0, 1, 2, 9)},
    "ids that end late": {"ids": _offsets(0, 1, 2, 11)},
    "ids that start late": {"ids": _offsets(1, 2, 3, 10)},
    "ids that start before": {"ids": _offsets(-1, 2, 3, 10)},
    "ids far away": {"ids": _offsets(0, 2**62, 2**63 - 1, 10)},
    "classes that fall": {"classes": _offsets(0, 7, 5, 10)},
    "classes that end early": {"classes": _offsets(0, 1, 2, 9)},
    "groups that end late": {"groups": _offsets(0, 1, 11)},
}


@pytest.mark.parametrize("name", _CONTRADICTIONS)
@pytest.mark.parametrize("verify", [True, False])
def test_tables_that_contradict_each_other_are_refused(
    tmp_path: Path, name: str, *, verify: bool
) -> None:
    """Codes and offsets are checked even if every sum is right, and also without sums."""
    tables = dataclasses.replace(builders.tables(3), **_CONTRADICTIONS[name])
    write_cache(tmp_path / "bad.h5", tables, builders.meta(2), [builders.features(3, 2)])
    with pytest.raises(CacheInvalidError) as caught:
        FeatureCache(tmp_path / "bad.h5", verify=verify)
    assert caught.value.exit_code == 4


@dataclass(frozen=True)
class _Reason:
    """A reject with a reason that nobody knows."""

    reason: int
    id: bytes = b"x"
    digest: bytes = bytes(32)
    detail: str = ""
    decoder: str = ""


@pytest.mark.parametrize("reason", [0, 9, 63, 255])
def test_unknown_reasons_are_refused(tmp_path: Path, reason: int) -> None:
    """A reject without a known reason makes the file invalid."""
    tables = dataclasses.replace(builders.tables(3), rejects=(_Reason(reason),))
    write_cache(tmp_path / "bad.h5", tables, builders.meta(2), [builders.features(3, 2)])
    with pytest.raises(CacheInvalidError):
        FeatureCache(tmp_path / "bad.h5")


@dataclass(frozen=True)
class _Forged(CacheMeta):
    """A record that is changed as it is written, under sums that are right."""

    forge: Callable[[bytes], bytes] = bytes

    def to_bytes(self) -> bytes:
        return self.forge(super().to_bytes())


def _forged(forge: Callable[[bytes], bytes]) -> _Forged:
    meta = builders.meta(2)
    values = {field.name: getattr(meta, field.name) for field in dataclasses.fields(meta)}
    return _Forged(**values, forge=forge)


def _set(*path: str | int, value: object) -> Callable[[bytes], bytes]:
    def forge(data: bytes) -> bytes:
        record = node = json.loads(data)
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value
        return json.dumps(record).encode()

    return forge


def _drop(key: str) -> Callable[[bytes], bytes]:
    def forge(data: bytes) -> bytes:
        record = json.loads(data)
        del record[key]
        return json.dumps(record).encode()

    return forge


_FORGERIES = {
    "nothing": lambda _: b"",
    "no JSON": lambda data: data[:-1],
    "no UTF-8": lambda data: b"\xff" + data,
    "a list": lambda _: b"[]",
    "a number": lambda _: b"1",
    "brackets by the thousand": lambda _: b"[" * 100_000,
    "objects by the thousand": lambda _: b'{"a":' * 100_000,
    "a long number": _set("rows", value=None),
    "another number of rows": _set("rows", value=4),
    "negative rows": _set("rows", value=-3),
    "no block size": _set("block_rows", value=0),
    "a negative block size": _set("block_rows", value=-1),
    "an immense block size": _set("block_rows", value=10**30),
    "smaller blocks": _set("block_rows", value=1),
    "another dimension": _set("backbone", "dim", value=3),
    "another dtype": _set("backbone", "identity", "stored_dtype", value="float32"),
    "an unknown dtype": _set("backbone", "identity", "stored_dtype", value="float8"),
    "another digest": _set("content", value="1" * 64),
    "a short digest": _set("content", value=""),
    "no content": _drop("content"),
    "no identity": _set("backbone", "identity", value={}),
    "an identity of lists": _set("backbone", "identity", "source", value=[]),
    "an identity of numbers": _set("backbone", "identity", "source", value=1),
    "a version of text": _set("backbone", "identity", "version", value="1"),
    "a backbone of text": _set("backbone", value="x"),
    "numerics of numbers": _set("numerics", value=[5]),
    "numerics of nothing": _set("numerics", value=[None]),
    "numerics of lists": _set("numerics", value=[[[]]]),
    "numerics of text": _set("numerics", value=["device"]),
    "numerics by name": _set("numerics", value={}),
    "no numerics": _set("numerics", value=[]),
    "an environment of numbers": _set("environment", value={"python": 3}),
    "an environment of text": _set("environment", value="x"),
    "a source of text": _set("source", value="x"),
    "a source with options of numbers": _set("source", "options", value={"a": 1}),
    "a source with an extra": _set("source", "extra", value=1),
    "a root of nothing": _set("root", value=None),
    "a request of text": _set("request", value="x"),
    "a golden record of text": _set("golden", value="x"),
}


@pytest.mark.parametrize("name", _FORGERIES)
def test_forged_records_are_refused(tmp_path: Path, name: str) -> None:
    """A record that is not ours is an invalid cache, whatever its sums say."""
    write_cache(
        tmp_path / "bad.h5",
        builders.tables(3),
        _forged(_FORGERIES[name]),
        [builders.features(3, 2)],
    )
    with pytest.raises(CacheInvalidError, match=r"/meta|numerics list"):
        FeatureCache(tmp_path / "bad.h5")


def test_an_unchanged_record_passes(tmp_path: Path) -> None:
    """The forgeries above are refused for their change."""
    write_cache(
        tmp_path / "c.h5",
        builders.tables(3),
        _forged(lambda data: data),
        [builders.features(3, 2)],
    )
    assert FeatureCache(tmp_path / "c.h5").meta.root == "/nowhere"


def test_names_that_are_not_utf8_survive_the_record(tmp_path: Path) -> None:
    """A root folder may have any bytes in its name."""
    meta = dataclasses.replace(builders.meta(2), root="/photos/\udcff\udc80 ü")
    write_cache(tmp_path / "c.h5", builders.tables(3), meta, [builders.features(3, 2)])
    assert FeatureCache(tmp_path / "c.h5").meta.root == meta.root


def test_tables_are_equal_by_value() -> None:
    """Equality looks at every table and is not fooled by other types."""
    assert builders.tables(5, 2) == builders.tables(5, 2)
    assert builders.tables(5, 2) != builders.tables(5, 1)
    assert builders.tables(5) != builders.tables(6)
    for field in dataclasses.fields(RowTables):
        value = getattr(builders.tables(5, 2), field.name)
        if isinstance(value, np.ndarray):
            changed = dataclasses.replace(builders.tables(5, 2), **{field.name: value[::-1]})
            assert (changed == builders.tables(5, 2)) == np.array_equal(value, value[::-1])
    assert builders.tables(1) != 1
