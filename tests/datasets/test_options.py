"""How a source is to be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcache.datasets.options import DEFAULTS, SourceOptions
from embedcache.errors import SourceError

COLUMN = st.none() | st.text(max_size=5)
SEVERAL = st.lists(st.text(min_size=1, max_size=5), min_size=1, unique=True).map(tuple)
LABELS = st.one_of(
    st.fixed_dictionaries({"label_column": COLUMN | SEVERAL}),
    st.fixed_dictionaries(
        {"label_column": COLUMN, "label_separator": st.text(min_size=1, max_size=3)}
    ),
)


@given(
    LABELS,
    st.fixed_dictionaries(
        {
            "root": st.none() | st.just(Path("/data")),
            "path_column": COLUMN,
            "split_column": COLUMN,
            "group_column": COLUMN,
            "allow_outside": st.booleans(),
            "labels": st.sampled_from(["auto", "folder", "none"]),
        }
    ),
)
def test_a_record_gives_the_options_back(labels: dict[str, Any], others: dict[str, Any]) -> None:
    """Nothing but strings is recorded, nothing is lost, and defaults are left out."""
    options = SourceOptions(**labels, **others)
    record = options.to_record()
    assert all(isinstance(value, str) for value in record.values())
    again = SourceOptions.from_record(record)
    assert again.to_record() == record
    assert again.label_column == options.label_column
    assert again.root is None or Path(again.root) == options.root
    assert DEFAULTS.to_record() == {}


def test_the_root_is_recorded_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative root means the same from another working folder."""
    monkeypatch.chdir(tmp_path)
    assert SourceOptions(root="images").to_record() == {"root": str(Path.cwd() / "images")}


@pytest.mark.parametrize(
    "record",
    [
        {"colour": "red"},
        {"allow_outside": "True"},
        {"labels": "maybe"},
        {"label_separator": ""},
        {"label_columns": "wet"},
        {"label_columns": "[]"},
        {"label_columns": "[1]"},
        {"label_columns": '["wet"]', "label_column": "wet"},
        {"label_columns": '["wet", "wet"]'},
        {"label_columns": '["wet", ""]'},
        {"label_columns": '["wet"]', "label_separator": "|"},
    ],
)
def test_foreign_records_are_refused(record: dict[str, str]) -> None:
    """Unknown options and values are an error, not ignored."""
    with pytest.raises(SourceError):
        SourceOptions.from_record(record)
