"""Records through JSON, and JSON that is not a record."""

import json
import os
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcache.heads.json_records import dump_record, load_record, read_version


@dataclass(frozen=True)
class Inner:
    name: str
    value: float | None


@dataclass(frozen=True)
class Outer:
    format: int
    flag: bool
    items: tuple[Inner, ...]
    cells: tuple[tuple[int, int], ...]
    inner: Inner | None
    settings: dict[str, float]


GOOD = Outer(
    1, True, (Inner(os.fsdecode(b"\xff\n"), 0.1), Inner("日本", None)), ((1, 2),), None, {"C": 0.1}
)


def test_records_come_back_as_they_went() -> None:
    """Nested records, undecodable names and exact floats survive."""
    assert load_record(Outer, dump_record(GOOD)) == GOOD


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", True),
        ("format", 1.0),
        ("flag", 1),
        ("items", "text"),
        ("items", [{"name": "a"}]),
        ("items", [{"name": "a", "value": "1"}]),
        ("items", [{"name": 1, "value": 1}]),
        ("cells", [[1]]),
        ("cells", [[1, 2, 3]]),
        ("inner", []),
        ("settings", []),
        ("settings", {"C": "1"}),
        ("extra", 1),
    ],
)
def test_other_types_are_refused(field: str, value: object) -> None:
    """A field of another type, a missing or an unknown one is an error that names it."""
    raw = json.loads(dump_record(GOOD))
    raw[field] = value
    with pytest.raises(ValueError, match="Outer"):
        load_record(Outer, json.dumps(raw).encode())


@dataclass(frozen=True)
class Grown:
    name: str
    inner: Inner | None = None
    count: int = 3


def test_records_may_grow() -> None:
    """A field at its default is not written, and what was written before it came is read."""
    assert json.loads(dump_record(Grown("a"))) == {"name": "a"}
    assert load_record(Grown, b'{"name": "a"}') == Grown("a")
    grown = Grown("a", Inner("b", None), 4)
    assert load_record(Grown, dump_record(grown)) == grown
    with pytest.raises(ValueError, match=r"Grown: got 'name'"):
        load_record(Grown, b'{"count": 3}')
    with pytest.raises(ValueError, match=r"Grown: got 'other'"):
        load_record(Grown, b'{"name": "a", "other": 1}')


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_error(data: bytes) -> None:
    """What is not a record is a ValueError, never another exception."""
    with pytest.raises(ValueError, match=r"."):
        load_record(Outer, data)


def test_deep_nesting_is_a_value_error() -> None:
    """A hostile depth does not exhaust the stack."""
    with pytest.raises(ValueError, match="deep"):
        load_record(Outer, b"[" * 200_000)


def test_not_finite_numbers_are_never_written() -> None:
    """JSON has no NaN."""
    with pytest.raises(ValueError, match="JSON"):
        dump_record(Inner("a", float("nan")))


def test_versions_are_read_before_other_fields() -> None:
    """The version of an unknown record can be told."""
    assert read_version(b'{"format": 9, "new": []}') == 9
    with pytest.raises(ValueError, match="version"):
        read_version(b'{"format": "9"}')
