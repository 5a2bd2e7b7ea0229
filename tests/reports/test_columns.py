"""Aligned columns."""

from rich.cells import cell_len

from embedcache.reports.columns import columns, shorten


def test_columns_align_in_cells() -> None:
    """Wide characters take two cells and the next column still lines up."""
    lines = columns([["名前", "1"], ["abc", "23"], ["", "4"]], "<>")
    assert lines[0] == "名前   1"
    assert {cell_len(line) for line in lines} == {8}


def test_lines_have_no_trailing_blanks() -> None:
    """Left-aligned last columns are not padded."""
    assert columns([["a", "long"], ["b", "x"]], "<<") == ["a  long", "b  x"]


def test_long_names_are_shortened() -> None:
    """What fits stays; what does not ends in an ellipsis within the width."""
    assert shorten("abc", 3) == "abc"
    assert shorten("abcd", 3) == "ab…"
    assert cell_len(shorten("名前名前", 5)) <= 5
