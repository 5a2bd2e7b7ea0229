"""The exception tree."""

from __future__ import annotations

import re

import pytest

from embedcache import errors
from embedcache.errors import (
    EmbedcacheError,
    InputRejectedError,
    MissingExtraError,
    StorageError,
)
from embedcache.records.rejects import RejectReason


def drawn_tree() -> dict[str, tuple[str | None, int]]:
    """Parent and exit code of each class as the module's docstring draws them."""
    tree: dict[str, tuple[str | None, int]] = {}
    above: list[str] = []
    line_form = re.compile(r"^([│ ]*(?:├── |└── )?)(\w+Error)\b(?: +(\d+)(?= ))?")
    for match in filter(None, map(line_form.match, (errors.__doc__ or "").splitlines())):
        depth = len(match[1]) // 4
        above[depth:] = [match[2]]
        parent = above[depth - 1] if depth else None
        code = match[3] or (tree[parent][1] if parent else EmbedcacheError.exit_code)
        tree[match[2]] = (parent, int(code))
    return tree


def real_classes() -> dict[str, type[EmbedcacheError]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, EmbedcacheError)
    }


def test_the_drawn_tree_is_the_real_one() -> None:
    """Every class stands in the docstring below its parent, with its exit code."""
    real = {
        name: (cls.__base__.__name__ if cls is not EmbedcacheError else None, cls.exit_code)
        for name, cls in real_classes().items()
        if cls.__base__ is not None
    }
    assert drawn_tree() == real
    assert len(real) > 15


def test_all_names_every_class() -> None:
    """`__all__` is complete and sorted, and every class says what it is for."""
    assert errors.__all__ == sorted(real_classes())
    assert all(cls.__doc__ for cls in real_classes().values())


def test_exit_codes_are_those_of_the_manual() -> None:
    """Usage 2, rejected inputs 3, cache 4, storage 5, locked 6; nothing ends as success."""
    codes = {
        "UsageError": 2,
        "RejectedInputsError": 3,
        "CacheError": 4,
        "StorageError": 5,
        "LockedError": 6,
    }
    assert {name: real_classes()[name].exit_code for name in codes} == codes
    assert {cls.exit_code for cls in real_classes().values()} == {1, 2, 3, 4, 5, 6}


def test_a_message_says_what_where_got_expected_and_next() -> None:
    """All parts stand in one order, one line each."""
    error = StorageError("a thing failed", where="/x", got=3, expected=4, hint="embedcache ls")
    assert str(error) == (
        "a thing failed\n  at:       /x\n  got:      3\n  expected: 4\n  next:     embedcache ls"
    )
    assert (error.where, error.got, error.expected) == ("/x", "3", "4")


@pytest.mark.parametrize("part", ["where", "got", "expected", "hint"])
def test_parts_that_are_not_given_leave_no_line(part: str) -> None:
    """A message has as many lines as it has parts; an empty value is a part, `None` is not."""
    assert str(EmbedcacheError("it failed")) == "it failed"
    assert str(EmbedcacheError("it failed", **{part: None})) == "it failed"
    assert len(str(EmbedcacheError("it failed", **{part: "x"})).splitlines()) == 2
    assert len(str(EmbedcacheError("it failed", **{part: ""})).splitlines()) == 2


def test_a_missing_extra_says_what_to_install() -> None:
    """The next step is the command."""
    error = MissingExtraError("Parquet needs pyarrow", extra="parquet")
    assert error.hint == "pip install 'embedcache[parquet]'"
    assert error.extra == "parquet"


@pytest.mark.parametrize("reason", [reason.name for reason in RejectReason])
def test_a_rejected_input_says_why_in_words(reason: str) -> None:
    """The reason is readable, and still there as a name."""
    error = InputRejectedError(reason, "cut short", where="a.jpg")
    assert str(error).splitlines() == [
        f"input rejected: {RejectReason[reason].label}",
        "  at:       a.jpg",
        "  got:      cut short",
    ]
    assert (error.reason, error.detail) == (reason, "cut short")
