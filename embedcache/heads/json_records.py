"""Nested frozen records to JSON and back, every type checked on the way in.

A field that has its default is left out, and takes it where it is missing: so a record
can grow, and files from before keep their meaning and their digest.

Plain `json` is used, not a validation library: names may hold undecodable bytes
as lone surrogates, which JSON escapes carry and validators of text refuse.
"""

from __future__ import annotations

import dataclasses
import json
import types
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from embedcache.records.json_text import parse_json

__all__ = ["dump_record", "load_record", "read_version"]

Record = TypeVar("Record")


def dump_record(record: object) -> bytes:
    """A dataclass of dataclasses, tuples and plain values as JSON, UTF-8 and ASCII.

    Raises:
        ValueError: A float is not finite.
    """
    return json.dumps(_plain(record), indent=1, allow_nan=False).encode() + b"\n"


def load_record(kind: type[Record], data: bytes) -> Record:
    """The record, from what `dump_record` gave.

    Raises:
        ValueError: Not JSON, or a field is missing, unknown or of another type.
    """
    record: Record = _read(kind, parse_json(data), kind.__name__)
    return record


def read_version(data: bytes) -> int:
    """The field `format` of a record, whatever its other fields are.

    Raises:
        ValueError: Not JSON, or no whole number is called `format`.
    """
    match parse_json(data):
        case {"format": int(version)}:
            return version
    raise ValueError("no format version")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return value
    pairs = ((field, getattr(value, field.name)) for field in dataclasses.fields(value))
    return {field.name: _plain(item) for field, item in pairs if item != field.default}


def _read(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _read_record(kind, value, where)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is types.UnionType:
        present = next(option for option in arguments if option is not types.NoneType)
        return None if value is None else _read(present, value, where)
    if origin is tuple:
        _expect(isinstance(value, list), where, value, "a list")
        if arguments[-1] is Ellipsis:
            arguments = (arguments[0],) * len(value)
        _expect(len(value) == len(arguments), where, value, f"{len(arguments)} entries")
        return tuple(
            _read(each, item, f"{where}[{index}]")
            for index, (each, item) in enumerate(zip(arguments, value, strict=True))
        )
    if origin is dict:
        _expect(isinstance(value, dict), where, value, "an object")
        return {name: _read(arguments[1], item, f"{where}.{name}") for name, item in value.items()}
    if kind is float and type(value) is int:
        value = float(value)
    _expect(type(value) is kind, where, value, kind.__name__)
    return value


def _read_record(kind: Any, value: Any, where: str) -> Any:
    _expect(isinstance(value, dict), where, value, "an object")
    hints = get_type_hints(kind)
    optional = {f.name for f in dataclasses.fields(kind) if f.default is not dataclasses.MISSING}
    odd = sorted((set(value) ^ set(hints)) - (optional - set(value)))
    _expect(not odd, where, ", ".join(odd), "exactly the known fields")
    return kind(**{name: _read(hints[name], value[name], f"{where}.{name}") for name in value})


def _expect(condition: bool, where: str, got: object, expected: str) -> None:  # noqa: FBT001  # an assertion
    if not condition:
        raise ValueError(f"{where}: got {str(got)[:80]!r}, expected {expected}")
