"""Why an input has no row."""

from __future__ import annotations

from embedcache.records.rejects import RejectReason


def test_the_numbers_are_as_stored() -> None:
    """Codes are on disk: new ones may be added, these never move."""
    stored = {
        "EMPTY": 1,
        "NOT_AN_IMAGE": 2,
        "UNSUPPORTED_FORMAT": 3,
        "TRUNCATED": 4,
        "CORRUPT": 5,
        "TOO_LARGE": 6,
        "POINTER": 7,
        "NOT_FINITE": 8,
        "MISSING": 64,
        "NOT_A_REGULAR_FILE": 65,
        "PERMISSION": 66,
        "READ_ERROR": 67,
        "CHANGED_WHILE_READ": 68,
        "LINK_LOOP": 69,
    }
    assert {name: RejectReason[name].value for name in stored} == stored
    assert all(0 < reason < 256 for reason in RejectReason)


def test_the_environment_is_told_apart_from_the_bytes() -> None:
    """Only what another time may go well is tried again."""
    assert RejectReason.PERMISSION.is_environment
    assert RejectReason.MISSING.is_environment
    assert not RejectReason.NOT_FINITE.is_environment


def test_labels_are_words() -> None:
    """People read the reason without underscores."""
    assert RejectReason.NOT_A_REGULAR_FILE.label == "not a regular file"
