"""Checked safetensors."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from embedcache.heads.tensors import load_tensors, tensor_bytes

EXPECTED = {"a": ("float64", (2, 3)), "b": ("int32", (None,))}
GOOD = tensor_bytes({"a": np.arange(6.0).reshape(2, 3), "b": np.arange(4, dtype=np.int32)}, {})


def test_tensors_come_back() -> None:
    """Values, shapes, dtypes and metadata survive; arrays need not be contiguous."""
    turned = np.arange(6.0).reshape(3, 2).T
    data = tensor_bytes({"a": turned, "b": np.arange(0, dtype=np.int32)}, {"x": "y"})
    tensors, metadata = load_tensors(data, EXPECTED)
    assert np.array_equal(tensors["a"], turned)
    assert tensors["b"].shape == (0,)
    assert metadata == {"x": "y"}


@given(st.binary(max_size=100), st.integers(0, len(GOOD)), st.integers(0, 1))
@example(b"", len(GOOD), 1)
def test_any_bytes_are_the_tensors_or_a_value_error(data: bytes, at: int, rest: int) -> None:
    """Garbage, and good files with garbage in them, give the expected shapes or ValueError."""
    try:
        tensors, _ = load_tensors(GOOD[:at] + data + GOOD[at:] * rest, EXPECTED)
    except ValueError:
        return
    assert tensors["a"].shape == (2, 3)
    assert tensors["b"].dtype == np.int32


def test_another_shape_is_refused() -> None:
    """The message names the tensor."""
    with pytest.raises(ValueError, match=r"a of shape \[2, 3\]"):
        load_tensors(GOOD, {**EXPECTED, "a": ("float64", (3, 3))})
