"""The ledger of test openings."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from embedcache.errors import CacheInvalidError
from embedcache.runs.ledger import LEDGER, next_gate, record_gate, record_opening


def test_openings_are_counted_by_test_rows(tmp_path: Path) -> None:
    """Each set of test rows has its own count, which survives."""
    root = tmp_path / "runs"
    assert record_opening(root, "a" * 64, "logreg") == 1
    assert record_opening(root, "a" * 64, "ridge") == 2
    assert record_opening(root, "b" * 64, "ridge") == 1
    assert json.loads((root / LEDGER).read_bytes())["openings"]["a" * 64] == ["logreg", "ridge"]


def test_gates_are_counted_among_openings(tmp_path: Path) -> None:
    """A head is an opening and no gate, a gate is both; one that comes again keeps its number."""
    record_opening(tmp_path, "a", "logreg")
    assert next_gate(tmp_path, "a", "f1") == 1
    assert record_gate(tmp_path, "a", "f1") == 1
    assert next_gate(tmp_path, "a", "f1") == 1
    assert next_gate(tmp_path, "a", "f2") == 2
    assert record_gate(tmp_path, "a", "f2") == 2
    assert record_gate(tmp_path, "a", "f1") == 1
    assert record_gate(tmp_path, "b", "f2") == 1
    assert record_opening(tmp_path, "a", "ridge") == 4


def test_no_opening_is_lost_to_another(tmp_path: Path) -> None:
    """Twelve at once: every one is counted, and no two get the same number."""
    with ThreadPoolExecutor(6) as pool:
        numbers = list(pool.map(lambda i: record_opening(tmp_path, "a", str(i)), range(12)))
    assert sorted(numbers) == list(range(1, 13))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"format": 2, "openings": {}}',
        '{"format": 1, "openings": {"a": 3}}',
    ],
)
def test_a_damaged_ledger_is_refused(content: str, tmp_path: Path) -> None:
    """A count that starts anew unnoticed would be a lie."""
    (tmp_path / LEDGER).write_text(content)
    with pytest.raises(CacheInvalidError, match="ledger"):
        record_opening(tmp_path, "a", "logreg")


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """The ledger is a file of the runs folder."""
    (tmp_path / LEDGER).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CacheInvalidError, match="link"):
        record_opening(tmp_path, "a", "logreg")
