"""Names to codes."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcache.datasets.codes import Coder, lookalikes, split_code
from embedcache.errors import SourceError
from embedcache.records.manifest import SPLITS
from embedcache.records.strings import Strings

NAMES = st.text(st.characters(codec="utf-8")).map(lambda text: unicodedata.normalize("NFC", text))


@given(st.lists(st.none() | NAMES))
def test_codes_point_at_the_names(names: list[str | None]) -> None:
    """Codes give each name back, none is -1, and the table is sorted and free of repeats."""
    coder = Coder("label", str)
    for at, name in enumerate(names):
        coder.add(name, at)
    codes, table = coder.finish()
    assert codes.dtype == np.int32
    assert [table.text(code) if code >= 0 else None for code in codes] == names
    assert list(table) == sorted({name.encode() for name in names if name is not None})


def test_names_that_look_like_values_stay_names() -> None:
    """Nothing is parsed: `1`, `01`, `1.0`, `NaN`, `true` and `cat ` are six classes."""
    coder = Coder("label", str)
    for name in ("1", "01", "1.0", "NaN", "true", "cat "):
        coder.add(name, 1)
    assert coder.finish()[1].texts() == ["01", "1", "1.0", "NaN", "cat ", "true"]


def test_two_unicode_forms_of_one_name_name_both_places() -> None:
    """The first place of each form is in the message, and the forms can be told apart in it."""
    coder = Coder("label", lambda line: f"m.csv, line {line}")
    coder.add("\u00e9", 2)
    coder.add("\u00e9", 3)
    with pytest.raises(SourceError, match="two spellings of one label") as caught:
        coder.add("e\u0301", 4)
    assert caught.value.where == "m.csv, line 2 and m.csv, line 4"
    assert caught.value.got == r"'\xe9' and 'e\u0301'"


def test_one_decomposed_form_is_kept() -> None:
    """A name in NFD alone is nobody's twin and stays as it is."""
    coder = Coder("label", str)
    coder.add("e\u0301", 1)
    coder.add("e\u0301", 2)
    assert coder.finish()[1].texts() == ["e\u0301"]


def test_splits_are_known_by_their_usual_names() -> None:
    """Case and surrounding spaces do not matter; blank is none, anything else unknown."""
    names = ["train", "VAL", " valid", "Validation", "dev", "test", "testing ", "", " ", "holdout"]
    codes = [split_code(name) for name in names]
    assert [None if code is None else SPLITS[code] for code in codes] == [
        *("train", "val", "val", "val", "val", "test", "test", "", "", None)
    ]


def test_lookalikes_are_named_in_pairs() -> None:
    """Names equal but for case or surrounding spaces are pointed out, others are not."""
    assert lookalikes(Strings.of(["Cat", "cat ", "dog"])) == [
        "classes 'Cat' and 'cat ' differ only in case or spaces"
    ]
