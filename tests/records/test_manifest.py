"""The samples of a source."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcache.records.manifest import NO_CODE, SPLITS, Manifest, SourceRecord
from embedcache.records.strings import Strings

RECORD = SourceRecord("table", "/data/m.csv", {"label_column": "species"})


def manifest() -> Manifest:
    """Four samples, all codes in use."""
    return Manifest(
        RECORD,
        "/data",
        Strings.of(["a.jpg", b"x/\xff.jpg", "c.jpg", "d.jpg"]),
        np.array([1, NO_CODE, 0, 1], np.int32),
        Strings.of(["cat", "dog"]),
        np.array([1, 2, 3, 0], np.uint8),
        np.array([0, 0, NO_CODE, 1], np.int32),
        Strings.of(["p1", "p2"]),
        ("a note",),
    )


def test_codes_of_splits_are_as_stored() -> None:
    """The codes are on disk, so their order never changes."""
    assert SPLITS == ("", "train", "val", "test")
    assert NO_CODE == -1


def test_paths_lead_from_the_root() -> None:
    """A path is the root and the id, as file-system bytes."""
    assert len(manifest()) == 4
    assert manifest().path(1) == b"/data/x/\xff.jpg"


@given(st.lists(st.integers(0, 3)))
def test_take_keeps_each_row_together(rows: list[int]) -> None:
    """Picked rows keep their id, label, split and group; the names stay as they are."""
    whole = manifest()
    part = whole.take(np.array(rows, np.int64))
    assert list(part.ids) == [whole.ids[row] for row in rows]
    for table in ("labels", "split", "group"):
        got, source = getattr(part, table), getattr(whole, table)
        assert got.tolist() == [source[row] for row in rows]
        assert got.dtype == source.dtype
    assert (part.source, part.root, part.notes) == (whole.source, whole.root, whole.notes)
    assert (part.classes, part.groups) == (whole.classes, whole.groups)


@given(
    st.sampled_from(["folder", "table"]),
    st.text(st.characters(), max_size=8),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
)
def test_a_source_record_comes_back_from_json(
    kind: str, location: str, options: dict[str, str]
) -> None:
    """Through JSON text and back, also names with undecodable bytes."""
    record = SourceRecord(kind, location, options)
    assert SourceRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


@pytest.mark.parametrize(
    "value",
    [
        None,
        "folder",
        [],
        {},
        {"kind": "folder", "location": "/x"},
        {"kind": "folder", "options": {}},
        {"location": "/x", "options": {}},
        {"kind": 1, "location": "/x", "options": {}},
        {"kind": "folder", "location": None, "options": {}},
        {"kind": "folder", "location": "/x", "options": []},
        {"kind": "folder", "location": "/x", "options": {"allow_outside": True}},
        {"kind": "folder", "location": "/x", "options": {1: "x"}},
        {"kind": "folder", "location": "/x", "options": {}, "more": ""},
    ],
)
def test_json_that_is_no_source_record_is_refused(value: Any) -> None:
    """A field that is missing, unknown or of another type is an error."""
    with pytest.raises(ValueError, match="not a source record"):
        SourceRecord.from_json(value)


def test_changing_the_json_does_not_change_the_record() -> None:
    """What goes out is a copy."""
    RECORD.to_json()["options"]["label_column"] = "other"
    assert RECORD.options == {"label_column": "species"}
