"""Names of data sets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcache.datasets.names import dataset_name
from embedcache.errors import UsageError


def test_base_name_and_eight_digits(tmp_path: Path) -> None:
    """The name tells the source to a person, the digits tell two of the same name apart."""
    one, two = dataset_name(tmp_path / "a" / "train"), dataset_name(tmp_path / "b" / "train")
    assert re.fullmatch(r"train-[0-9a-f]{8}", one)
    assert re.fullmatch(r"train-[0-9a-f]{8}", two)
    assert one != two


def test_every_way_to_the_same_place_gives_the_same_digits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative names, trailing slashes, dots and links do not make another data set."""
    (tmp_path / "train").mkdir()
    (tmp_path / "current").symlink_to("train")
    name = dataset_name(tmp_path / "train")
    monkeypatch.chdir(tmp_path / "train")
    assert dataset_name(".") == name
    assert dataset_name("../train/") == name
    assert dataset_name(tmp_path / "current")[-8:] == name[-8:]


@given(st.text(max_size=80).filter(lambda name: "\0" not in name))
def test_names_are_fit_for_folders(name: str) -> None:
    """Printable, no separator, not hidden, no flag, short enough, whatever the source is called."""
    made = dataset_name(Path("/data") / ("x/" + name))
    assert made.isprintable()
    assert "/" not in made
    assert made[0] not in ".-"
    assert len(made.encode()) <= 255


def test_a_nameless_source_has_a_name() -> None:
    """The root of the file system and names without a letter fall back to `data`."""
    assert dataset_name("/").startswith("data-")
    assert dataset_name("/x/???").startswith("data-")


def test_a_given_name_is_taken_as_it_is() -> None:
    """`--name` overrides, without digits."""
    assert dataset_name("/x/train", "flowers-v2") == "flowers-v2"


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "-x", "a b", "x\x1b[0m", "x" * 99])
def test_a_given_name_must_be_fit(name: str) -> None:
    """A name that is no folder's is refused with one that is."""
    with pytest.raises(UsageError) as caught:
        dataset_name("/x", name)
    hint = (caught.value.hint or "").removeprefix("--name ")
    assert dataset_name("/x", hint) == hint
