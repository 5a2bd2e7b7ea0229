"""Tables of byte strings."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcache.records.strings import Strings

BYTES = st.binary(max_size=12)


@given(st.lists(BYTES))
def test_bytes_come_back(items: list[bytes]) -> None:
    """Every string comes back by index, from either end, and in order."""
    table = Strings.of(items)
    assert len(table) == len(items)
    assert list(table) == items
    assert [table[i] for i in range(-len(items), 0)] == items
    assert table.is_valid()
    assert (table.data.dtype, table.offsets.dtype) == (np.uint8, np.int64)
    assert len(table.data) == sum(map(len, items))


@given(st.lists(BYTES))
def test_text_comes_back(items: list[bytes]) -> None:
    """Text is file-system bytes, undecodable bytes included, in both directions."""
    texts = [os.fsdecode(item) for item in items]
    table = Strings.of(texts)
    assert list(table) == items
    assert table.texts() == texts
    assert [table.text(i) for i in range(len(items))] == texts


@given(st.lists(BYTES, min_size=1), st.data())
def test_take_picks_rows_in_the_order_asked_for(items: list[bytes], data: st.DataObject) -> None:
    """Rows may be picked in any order, repeatedly, or not at all."""
    rows = data.draw(st.lists(st.integers(0, len(items) - 1)))
    taken = Strings.of(items).take(np.array(rows, np.int64))
    assert list(taken) == [items[row] for row in rows]
    assert taken.is_valid()


@given(st.lists(st.lists(BYTES)))
def test_concatenation_is_that_of_lists(parts: list[list[bytes]]) -> None:
    """Joining tables joins their strings, also where tables are empty."""
    joined = Strings.concatenate([Strings.of(part) for part in parts])
    assert joined == Strings.of([item for part in parts for item in part])
    assert joined.is_valid()


def test_concatenation_takes_tables_that_are_slices() -> None:
    """A table whose offsets do not start at 0 contributes its own strings only."""
    data = np.frombuffer(b"abcdef", np.uint8)
    part = Strings(data, np.array([1, 3, 4], np.int64))
    assert list(Strings.concatenate([part, part])) == [b"bc", b"d", b"bc", b"d"]


@given(st.lists(BYTES), st.lists(BYTES))
def test_equality_is_that_of_the_strings(one: list[bytes], two: list[bytes]) -> None:
    """Two tables are equal if and only if their strings are, cut at the same places."""
    assert (Strings.of(one) == Strings.of(two)) == (one == two)


def test_equality_sees_where_strings_are_cut() -> None:
    """The same bytes cut elsewhere are other strings; anything else is never equal."""
    assert Strings.of(["ab", "c"]) != Strings.of(["a", "bc"])
    assert Strings.of(["a"]) != ["a"]


def test_tables_have_no_hash() -> None:
    """They compare by value and hold arrays, so they are no keys."""
    with pytest.raises(TypeError):
        hash(Strings.of([]))


@pytest.mark.parametrize("index", [2, -3, 1 << 40])
def test_an_index_outside_of_the_table_is_an_error(index: int) -> None:
    """Indices wrap once, as those of lists do, and no further."""
    with pytest.raises(IndexError):
        Strings.of(["a", "b"])[index]


@pytest.mark.parametrize(
    "offsets", [[], [0], [1, 3], [0, 2], [0, 4], [0, 2, 1, 3], [0, -1, 3], [0, 5, 3]]
)
def test_offsets_that_do_not_fit_the_data_are_found(offsets: list[int]) -> None:
    """Offsets read from a file are valid only if they start at 0, rise and end with the data."""
    data = np.frombuffer(b"abc", np.uint8)
    assert not Strings(data, np.array(offsets, np.int64)).is_valid()
    assert Strings(data, np.array([0, 1, 1, 3], np.int64)).is_valid()
