"""Names made safe to print."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcache.reports.escape import printable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain name.png", "plain name.png"),
        ("日本 é", "日本 é"),
        ("a\nb\t", "a\\nb\\t"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        ("abc\u202ecba", "abc\\u202ecba"),
        (os.fsdecode(b"caf\xe9"), "caf\\xe9"),
        ("\ud83d", "\\ud83d"),
        ("a\u2028b", "a\\u2028b"),
    ],
)
def test_only_visible_characters_stay(name: str, shown: str) -> None:
    """Control, direction and line characters and undecodable bytes are escaped."""
    assert printable(name) == shown


@given(st.text(st.characters()))
def test_the_result_is_printable(name: str) -> None:
    """Whatever the name, the result is one line of visible characters that encode."""
    shown = printable(name)
    assert shown.isprintable()
    shown.encode()
