"""Images of several labels, from the manifest to the cache, by the command line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from command import Command
from hostile import flip_feature
from shop import SMALL, Shop

from embedcache import load_head
from embedcache.heads.rows import RunRows
from embedcache.store.cache import FeatureCache

TAGS = ["cat|indoor", "cat", "|", "", "dog|indoor|cat", "indoor"]
"""Of picture 0, 1, …, and so on from the start; the fourth is unlabelled."""

NAMES = ("cat", "dog", "indoor")

FLAGS = ("--label-column", "tags", "--label-separator", "|")


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
    flags = [*FLAGS]
    if columns:
        flags = [part for name in NAMES for part in ("--label-column", name)]
    cache = extract(cli, shop, manifest(tmp_path, TAGS, columns=columns), *flags)
    assert cache.classes == NAMES
    assert cache.y.tolist() == expected(TAGS)
    assert cache.select(label="dog").tolist() == [4, 10]


def test_other_tags_need_no_embedding(cli: Command, shop: Shop, tmp_path: Path) -> None:
    """A manifest whose tags changed gives the cache other labels, and so does reading one each."""
    first = extract(cli, shop, manifest(tmp_path, TAGS), *FLAGS)
    changed = ["dog", "|", "", "cat|dog"]
    second = extract(cli, shop, manifest(tmp_path, changed), *FLAGS)
    assert second.path == first.path
    assert second.classes == ("cat", "dog")
    assert second.y[:4].tolist() == [[0, 1], [0, 0], [255, 255], [1, 1]]
    np.testing.assert_array_equal(second.X, first.X)
    one_each = extract(cli, shop, manifest(tmp_path, changed), "--label-column", "tags")
    assert not one_each.is_multilabel
    assert one_each.classes == ("cat|dog", "dog", "|")


def test_inspect_counts_each_label(cli: Command, shop: Shop, tmp_path: Path) -> None:
    """Rows by label and split, labels per row, and the rows' own labels."""
    cache = extract(cli, shop, manifest(tmp_path, TAGS), *FLAGS)
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
    cache = extract(cli, shop, manifest(tmp_path, [""]), *FLAGS)
    about = cli.well("inspect", cache.path, "--json").json
    assert about["labels_per_row"] == {"mean": None, "most": 0, "none": 0}
    assert (about["classes"], about["unlabelled"]) == ({}, 12)
    assert "several labels for each row" in cli.well("inspect", cache.path).out


def test_repair_keeps_the_labels(cli: Command, shop: Shop, tmp_path: Path) -> None:
    """Damaged features are embedded again beside the same labels."""
    cache = extract(cli, shop, manifest(tmp_path, TAGS), *FLAGS)
    flip_feature(cache.path, 3)
    assert cli("verify", cache.path).code == 4
    cli.well("verify", cache.path, "--repair")
    assert FeatureCache(cache.path).y.tolist() == expected(TAGS)
    assert FeatureCache(cache.path).content_digest == cache.content_digest


@pytest.fixture
def tagged(cli: Command, shop: Shop, tmp_path: Path) -> FeatureCache:
    """The cache of the tags."""
    return extract(cli, shop, manifest(tmp_path, TAGS), *FLAGS)


@pytest.fixture
def run(cli: Command, shop: Shop, tagged: FeatureCache) -> Path:
    """A head of the tags."""
    done = cli.well("fit-head", tagged.path, "--runs-dir", shop.folder / "tagged", "--json")
    return Path(done.json["run"])


def test_a_head_is_fitted_and_reported(cli: Command, tagged: FeatureCache) -> None:
    """Headline, table of labels and next command fit into 80 columns."""
    done = cli.well("fit-head", tagged.path)
    assert "mAP" in done.out
    assert "per label, %" in done.out
    assert "next:    embedcache predict" in done.out
    report = done.out[: done.out.index("run:  ")]
    assert all(len(line) <= 80 for line in report.splitlines())


def test_the_run_holds_sets_of_labels(run: Path, tagged: FeatureCache) -> None:
    """Rows, head and page are those of the tags."""
    rows = RunRows.load(run, several=True)
    assert np.array_equal(rows.label, tagged.y)
    assert rows.side.tolist() == [0 if i % 6 == 3 else 2 if i > 8 else 1 for i in range(12)]
    head = load_head(run)
    assert (head.classes, head.output) == (NAMES, "sigmoid")
    page = (run / "report.html").read_text()
    assert "extract" in page
    assert "--label-separator" in page
    assert (run / "label-doubts.csv").read_text().startswith("id,label,labelled,probability,")


def test_predictions_are_sets(cli: Command, shop: Shop, run: Path, tagged: FeatureCache) -> None:
    """Each label has its probability, and those above one half are the answer."""
    lines = cli.well("predict", run, shop.photos).out.splitlines()
    assert lines[0] == "id,labels,probability_cat,probability_dog,probability_indoor,error"
    shares = load_head(run).predict_proba(tagged.X)
    names = [os.fsdecode(item) for item in tagged.ids]
    for line in lines[1:]:
        path, answer, *cells, error = line.split(",")
        own = shares[names.index(os.path.relpath(path, shop.photos))]
        assert [float(cell) for cell in cells] == pytest.approx(own)
        expected = "|".join(n for n, p in zip(NAMES, own, strict=True) if p > 0.5) or "|"
        assert (answer, error) == (expected, "")
    refused = cli("predict", run, shop.photos, "--top-k", "2")
    assert (refused.code, "none is ranked" in refused.err) == (2, True)


def test_runs_are_compared(cli: Command, shop: Shop, run: Path, tagged: FeatureCache) -> None:
    """By log-loss of rows, and never with runs that answer another question."""
    runs = shop.folder / "tagged"
    other = cli.well("fit-head", tagged.path, "--runs-dir", runs, "--model", "ridge", "--json").json
    found = cli.well("compare", run, other["run"], "--json").json
    assert (found["rows"], found["metric"], found["several"]) == (2, "log_loss", True)
    losses = [each["log_loss"] for each in found["runs"]]
    assert losses == sorted(losses)
    assert "exact match" in cli.well("compare", run, other["run"]).out
    single = shop.run
    refused = cli("compare", run, single)
    assert refused.code == 2
    assert "which of 3 labels (cat, dog, indoor)" in refused.err


@pytest.mark.parametrize("command", ["decide", "finetune"])
def test_what_takes_one_label_refuses(
    cli: Command, shop: Shop, tagged: FeatureCache, command: str
) -> None:
    """One clear error and exit code 2, before anything is fitted."""
    before = sorted(shop.runs_dir.iterdir())
    done = cli(command, tagged.path)
    assert done.code == 2
    assert "one label for each image so far" in done.err
    assert sorted(shop.runs_dir.iterdir()) == before


def test_a_run_of_labels_is_not_tuned(cli: Command, shop: Shop, tmp_path: Path) -> None:
    """Nor one of other labels on a cache of one label each."""
    table = manifest(tmp_path, TAGS)
    flags = ["--labels", table, *FLAGS, "--runs-dir", shop.folder / "tagged", "--json"]
    run = cli.well("fit-head", shop.cache, *flags).json["run"]
    assert load_head(run).classes == NAMES
    done = cli("finetune", run, "--force")
    assert done.code == 2
    assert "any number of labels" in done.err


@pytest.mark.parametrize(
    "flags",
    [
        ("--model", "knn"),
        ("--model", "zero-shot"),
        ("--metric", "accuracy"),
        ("--shots", "1"),
        ("--abstain-precision", "0.9"),
        ("--class-weight", "balanced"),
        ("--init", "zero-shot"),
    ],
)
def test_options_of_one_label_are_refused(
    cli: Command, tagged: FeatureCache, flags: tuple[str, str]
) -> None:
    """The error names the option, and the models that there are."""
    done = cli("fit-head", tagged.path, *flags)
    assert done.code == 2
    assert flags[0] in done.err
    assert "logreg, ridge, linear-svm or auto" in done.err


def test_the_ladder_ends_with_the_head(cli: Command, shop: Shop, tmp_path: Path) -> None:
    """`run` extracts and fits, says what it leaves out, and finds the head the next time."""
    command = ("run", manifest(tmp_path, TAGS), "--root", shop.photos, *FLAGS, *SMALL)
    first = cli.well(*command).out
    assert first.startswith("mAP ")
    assert "logreg on 3 labels" in first
    assert "the images have several labels each" in " ".join(first.split())
    assert "fitted before" in cli.well(*command).out


def test_columns_need_a_file_of_labels(cli: Command, shop: Shop) -> None:
    """`fit-head --label-column` says whose column it is."""
    done = cli("fit-head", shop.cache, "--label-column", "tags")
    assert (done.code, "--labels FILE" in done.err) == (2, True)


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
