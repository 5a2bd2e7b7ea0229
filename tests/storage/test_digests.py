import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcache.storage.digests import DIGEST_BYTES, block_sum, sha256, sha256_hex


@given(st.binary())
def test_sha256_is_the_standard_one(data: bytes) -> None:
    """Both forms agree with hashlib and with each other."""
    assert sha256(data) == hashlib.sha256(data).digest()
    assert sha256_hex(data) == sha256(data).hex()
    assert len(sha256(data)) == DIGEST_BYTES


@given(st.binary(min_size=1), st.data())
def test_one_flipped_bit_changes_the_sum(data: bytes, draw: st.DataObject) -> None:
    """No single bit may be flipped without the sum changing."""
    bit = draw.draw(st.integers(0, 8 * len(data) - 1))
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    assert block_sum("labels", 0, bytes(flipped)) != block_sum("labels", 0, data)


@given(st.binary(max_size=64), st.integers(0, 1000), st.integers(0, 1000))
def test_the_sum_is_keyed_by_the_block_index(data: bytes, first: int, second: int) -> None:
    """The same bytes have another sum in another block."""
    assert (block_sum("features", first, data) == block_sum("features", second, data)) == (
        first == second
    )


def test_the_sum_is_keyed_by_the_table() -> None:
    """The same bytes have another sum in another table, even where names and indices run on."""
    sums = {block_sum(table, index, b"same") for table in ("a", "a:1", "b") for index in (0, 1, 11)}
    assert len(sums) == 9


@pytest.mark.parametrize("shape", [(0,), (1,), (3, 5), (4, 0), (2, 3, 2)])
def test_arrays_and_their_bytes_have_one_sum(shape: tuple[int, ...]) -> None:
    """Arrays of any shape, also ones that are not contiguous, count as their C-order bytes."""
    array = np.arange(np.prod(shape), dtype="<f4").reshape(shape)
    expected = block_sum("features", 3, array.tobytes())
    assert block_sum("features", 3, array) == expected
    assert block_sum("features", 3, memoryview(array.tobytes())) == expected
    assert block_sum("features", 3, np.asfortranarray(array)) == expected
