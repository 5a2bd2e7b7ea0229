"""Images of several labels, from the manifest to the cache, by the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command import Command
from hostile import flip_feature
from shop import SMALL, Shop

from embedcache.store.cache import FeatureCache

TAGS = ["cat|indoor", "cat", "|", "", "dog|indoor|cat", "indoor"]
"""Of picture 0, 1, …, and so on from the start; the fourth is unlabelled."""

NAMES = ("cat", "dog", "indoor")


def manifest(folder: Path, tags: list[str], *, columns: bool = False) -> Path:
    """A table of the shop's twelve pictures, with a column of tags or one for each."""
    lines = ["path,split," + (",".join(NAMES[::-1]) if columns else "tags")]
    for i in range(12):
        text = tags[i % len(tags)]
        marks = ["" if not text else str(int(name in text.split("|"))) for name in NAMES[::-1]]
        labels = ",".join(marks) if columns else text
        lines.append(f"class{i % 3}/00{i // 3}.png,{'test' if i > 8 else 'train'},{labels}")
    path = folder / "list.csv"
    path.write_text("\n".join(lines))
    return path


def extract(cli: Command, shop: Shop, table: Path, *flags: str) -> FeatureCache:
    """The cache of a manifest, whose pictures are all embedded already."""
    found = cli.well("extract", table, "--root", shop.photos, *flags, *SMALL, "--json").json
    assert (found["rows"], found["embedded"]) == (12, 0)
    return FeatureCache(found["cache"])


def expected(tags: list[str]) -> list[list[int]]:
    rows = [tags[i % len(tags)] for i in range(12)]
    return [[255] * 3 if not row else [int(n in row.split("|")) for n in NAMES] for row in rows]


@pytest.mark.parametrize("columns", [False, True])
def test_labels_reach_the_cache(cli: Command, shop: Shop, tmp_path: Path, *, columns: bool) -> None:
    """One column with a separator and a column for each class give the same labels."""
    flags = ["--label-column", "tags", "--label-separator", "|"]
    if columns:
        flags = [part for name in NAMES for part in ("--label-column", name)]
    cache = extract(cli, shop, manifest(tmp_path, TAGS, columns=columns), *flags)
    assert cache.classes == NAMES
    assert cache.y.tolist() == expected(TAGS)
    assert cache.select(label="dog").tolist() == [4, 10]


def test_other_tags_need_no_embedding(cli: Command, shop: Shop, tmp_path: Path) -> None:
    """A manifest whose tags changed gives the cache other labels, and so does reading one each."""
    flags = ("--label-column", "tags", "--label-separator", "|")
    first = extract(cli, shop, manifest(tmp_path, TAGS), *flags)
    changed = ["dog", "|", "", "cat|dog"]
    second = extract(cli, shop, manifest(tmp_path, changed), *flags)
    assert second.path == first.path
    assert second.classes == ("cat", "dog")
    assert second.y[:4].tolist() == [[0, 1], [0, 0], [255, 255], [1, 1]]
    np.testing.assert_array_equal(second.X, first.X)
    one_each = extract(cli, shop, manifest(tmp_path, changed), "--label-column", "tags")
    assert not one_each.is_multilabel
    assert one_each.classes == ("cat|dog", "dog", "|")


def test_inspect_counts_each_label(cli: Command, shop: Shop, tmp_path: Path) -> None:
    """Rows by label and split, labels per row, and the rows' own labels."""
    flags = ("--label-column", "tags", "--label-separator", "|")
    cache = extract(cli, shop, manifest(tmp_path, TAGS), *flags)
    about = cli.well("inspect", cache.path, "--json", "--rows").json
    assert about["classes"]["cat"] == {"none": 0, "train": 5, "val": 0, "test": 1}
    assert about["unlabelled"] == 2
    assert about["labels_per_row"] == {"mean": 1.4, "most": 3, "none": 2}
    assert [row["label"] for row in about["row_list"][:4]] == [["cat", "indoor"], ["cat"], [], None]
    out = cli.well("inspect", cache.path).out
    assert "labels per labelled row: 1.40 (most 3; 2 have none)" in out
    lines = [
        line.split("\t") for line in cli.well("inspect", cache.path, "--rows").out.splitlines()
    ]
    assert [line[1] for line in lines[1:]] == [*TAGS[:4], "cat|dog|indoor", "indoor"] * 2


def test_nothing_labelled_has_no_mean(cli: Command, shop: Shop, tmp_path: Path) -> None:
    """A column of blank cells gives a cache without classes."""
    flags = ("--label-column", "tags", "--label-separator", "|")
    cache = extract(cli, shop, manifest(tmp_path, [""]), *flags)
    about = cli.well("inspect", cache.path, "--json").json
    assert about["labels_per_row"] == {"mean": None, "most": 0, "none": 0}
    assert (about["classes"], about["unlabelled"]) == ({}, 12)
    assert "several labels for each row" in cli.well("inspect", cache.path).out


def test_repair_keeps_the_labels(cli: Command, shop: Shop, tmp_path: Path) -> None:
    """Damaged features are embedded again beside the same labels."""
    flags = ("--label-column", "tags", "--label-separator", "|")
    cache = extract(cli, shop, manifest(tmp_path, TAGS), *flags)
    flip_feature(cache.path, 3)
    assert cli("verify", cache.path).code == 4
    cli.well("verify", cache.path, "--repair")
    assert FeatureCache(cache.path).y.tolist() == expected(TAGS)
    assert FeatureCache(cache.path).content_digest == cache.content_digest


@pytest.mark.parametrize("command", ["fit-head", "decide", "finetune"])
def test_heads_refuse_several_labels(
    cli: Command, shop: Shop, tmp_path: Path, command: str
) -> None:
    """One clear error and exit code 2, until heads know such labels."""
    flags = ("--label-column", "tags", "--label-separator", "|")
    cache = extract(cli, shop, manifest(tmp_path, TAGS), *flags)
    done = cli(command, cache.path)
    assert done.code == 2
    assert "multilabel labels are not fitted yet" in done.err


def test_flags_that_contradict_each_other_are_refused(
    cli: Command, shop: Shop, tmp_path: Path
) -> None:
    """Several columns and a separator, one column twice, a separator that is empty."""
    table = manifest(tmp_path, TAGS, columns=True)
    two = ["--label-column", "cat", "--label-column"]
    for flags in (
        [*two, "dog", "--label-separator", "|"],
        [*two, "cat"],
        ["--label-separator", ""],
    ):
        done = cli("extract", table, "--root", shop.photos, *flags, *SMALL)
        assert done.code == 2
        assert "--label-" in done.err


def test_a_configuration_may_list_columns(cli: Command, shop: Shop, tmp_path: Path) -> None:
    """A list of names, or one name."""
    table = manifest(tmp_path, TAGS, columns=True)
    config = tmp_path / "c.toml"
    config.write_text('[extract]\nlabel-column = ["indoor", "cat", "dog"]\n')
    assert extract(cli, shop, table, "--config", str(config)).classes == NAMES
    config.write_text('[extract]\nlabel-column = "cat"\n')
    assert extract(cli, shop, table, "--config", str(config)).classes == ("0", "1")
