"""Near duplicates as text."""

from embedcache.heads.row_records import NearDuplicates, NearPair
from embedcache.reports.near_text import near_lines

PAIR = NearPair("a.png", "b.png", 0.991, 1.2)


def test_pairs_are_listed_with_the_remedy() -> None:
    """How many, which, and what to do."""
    text = " ".join(near_lines(NearDuplicates(7, 2, True, False, (PAIR,) * 7), 80))
    assert "7 near duplicates on both sides" in text
    assert "--keep-duplicates-together" in text
    assert text.count("a.png = b.png, cosine 0.991") == 5


def test_doubts_are_said() -> None:
    """Pairs without pictures, a search that was cut short, and nothing to recommend twice."""
    pair = NearPair("a.png", "b\x1b.png", 0.991, None)
    text = " ".join(near_lines(NearDuplicates(1, 0, False, True, (pair,)), 80))
    assert "at least 1 near duplicate on both sides" in text
    assert "not there to confirm" in text
    assert "--keep" not in text
    assert "\x1b" not in text


def test_none_is_nothing() -> None:
    """No line for what is not there."""
    assert near_lines(None, 80) == near_lines(NearDuplicates(0, 3, True, False, ()), 80) == []
