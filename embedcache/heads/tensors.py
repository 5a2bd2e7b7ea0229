"""safetensors files that may come from anybody: checked in full before they are loaded.

The format: 8 bytes little-endian header length, a JSON header, then the tensors'
bytes; https://huggingface.co/docs/safetensors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcache.records.json_text import parse_json

__all__ = ["load_tensors", "tensor_bytes"]

_LONGEST_HEADER = 65_536  # ours have a few hundred bytes
_DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "int64": "I64",
    "int32": "I32",
    "uint8": "U8",
}


def tensor_bytes(tensors: Mapping[str, NDArray[Any]], metadata: dict[str, str]) -> bytes:
    """The tensors as the bytes of a safetensors file."""
    from safetensors.numpy import save

    contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    return save(contiguous, metadata=metadata)


def load_tensors(
    data: bytes, expected: Mapping[str, tuple[str, tuple[int | None, ...]]]
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The tensors and the metadata of a file that holds exactly the expected ones.

    Args:
        data: The file.
        expected: numpy dtype and shape of each tensor by name; None for any length.

    Raises:
        ValueError: Anything but those tensors, each whole, side by side, without a gap.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    header, start = _header(data)
    metadata = header.pop("__metadata__", {})
    _require(
        isinstance(metadata, dict) and all(isinstance(x, str) for x in metadata.values()),
        "metadata that is not text",
    )
    _require(set(header) == set(expected), f"tensors {sorted(map(str, header))[:8]}")
    spans = [_span(name, header[name], *expected[name]) for name in expected]
    end = 0
    for low, high in sorted(spans):
        _require(low == end, "tensors that overlap or leave gaps")
        end = high
    _require(start + end == len(data), f"{len(data) - start} bytes of tensors instead of {end}")
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise ValueError(f"not a safetensors file: {error}") from error
    return tensors, metadata


def _header(data: bytes) -> tuple[dict[str, Any], int]:
    _require(len(data) >= 8, "a file shorter than its own header")
    length = int.from_bytes(data[:8], "little")
    _require(length <= min(len(data) - 8, _LONGEST_HEADER), f"a header of {length} bytes")
    try:
        header = parse_json(data[8 : 8 + length])
    except ValueError as error:
        raise ValueError("a header that is not JSON") from error
    _require(isinstance(header, dict), "a header that is not an object")
    return header, 8 + length


def _span(name: str, entry: Any, dtype: str, shape: tuple[int | None, ...]) -> tuple[int, int]:
    match entry:
        case {"dtype": str(code), "shape": list(sides), "data_offsets": [int(low), int(high)]}:
            _require(code == _DTYPES[dtype], f"{name} of type {code}")
            whole = all(type(side) is int and side >= 0 for side in sides)
            _require(whole and len(sides) == len(shape), f"{name} of shape {sides}")
            for side, wanted in zip(sides, shape, strict=True):
                _require(wanted in (None, side), f"{name} of shape {sides}")
            size = math.prod(sides) * np.dtype(dtype).itemsize
            _require(low >= 0 and high - low == size, f"false offsets of {name}")
            return low, high
    raise ValueError(f"no description of {name}")


def _require(condition: bool, got: str) -> None:  # noqa: FBT001  # an assertion
    if not condition:
        raise ValueError(got)
