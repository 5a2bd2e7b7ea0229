"""`embedcache fit-head`, as a person and as a script see it."""

import json
import os

import pytest
from builders import make_cache
from command import Command
from shop import Shop


def test_without_a_cache_the_next_command_is_named(cli: Command, empty: Shop) -> None:
    """Exit code 2."""
    done = cli("fit-head")
    assert done.code == 2
    assert "there is no cache yet" in done.err
    assert "next:     embedcache extract SOURCE" in done.err


def test_of_one_data_set_the_newest_cache_is_taken_and_named(cli: Command, shop: Shop) -> None:
    """The note is on standard error, the report on standard output."""
    newest = shop.cache
    older = make_cache(newest.with_name("older-0123456789ab.h5")).path
    os.utime(older, (1, 1))
    done = cli.well("fit-head", "--c", 0.1)
    assert done.err.splitlines()[0] == f"cache: {newest}"
    assert "accuracy" in done.out
    assert "majority" in done.out
    assert cli.well("fit-head", "--c", 0.1, "-q").err == ""


def test_several_data_sets_are_listed(cli: Command, shop: Shop) -> None:
    """Exit code 2; which one, is for the person to say."""
    mine = shop.cache
    (shop.cache_dir / "other").mkdir()
    other = make_cache(shop.cache_dir / "other" / "x-0123456789ab.h5").path
    done = cli("fit-head")
    assert done.code == 2
    lines = [line.strip() for line in done.err.splitlines()]
    assert str(mine) in lines
    assert str(other) in lines
    assert "cache: " not in cli.well("fit-head", mine, "--c", 0.1).err


def test_the_run_and_the_next_command_are_named(cli: Command, shop: Shop) -> None:
    """By name in the usual place, by path elsewhere."""
    done = cli.well("fit-head", "--c", 0.1)
    name = shop.run.name[:-1] + "2"
    assert f"run:     {shop.runs_dir / name}" in done.out
    assert done.out.endswith(f"next:    embedcache predict {name} IMAGES…\n")
    elsewhere = shop.folder / "elsewhere"
    done = cli.well("fit-head", "--c", 0.1, "--runs-dir", elsewhere)
    assert f"next:    embedcache predict {elsewhere}/" in done.out


def test_json_is_one_object(cli: Command, shop: Shop) -> None:
    """The run's folder and the whole report."""
    done = cli.well("fit-head", "--c", 0.1, "--json")
    assert done.err == ""
    assert set(done.json) == {"run", "report"}
    with open(os.path.join(done.json["run"], "report.json")) as file:
        assert json.load(file) == done.json["report"]


def test_c_may_be_given_several_times(cli: Command, shop: Shop) -> None:
    """The report compares exactly these."""
    report = cli.well("fit-head", "--c", 0.01, "--c", 1, "--json").json["report"]
    assert [score["setting"]["C"] for score in report["selection"]["scores"]] == [0.01, 1.0]


def test_an_unknown_model_is_met_by_the_known(cli: Command, shop: Shop) -> None:
    """Exit code 2."""
    done = cli("fit-head", "--model", "forest")
    assert done.code == 2
    assert "logreg" in done.err


def test_a_file_that_is_no_cache_is_refused(cli: Command, shop: Shop) -> None:
    """Exit code 4."""
    path = shop.folder / "x.h5"
    path.write_bytes(b"no cache" * 1000)
    assert cli("fit-head", path).code == 4


@pytest.mark.parametrize("command", ["fit-head", "inspect", "verify"])
def test_a_cache_that_is_not_there_is_named(cli: Command, empty: Shop, command: str) -> None:
    """Exit code 2 or 4, and a next step."""
    done = cli(command, "nothing.h5")
    assert done.code in (2, 4)
    assert "nothing.h5" in done.err
    assert "next:" in done.err


def test_caches_side_by_side(cli: Command, shop: Shop) -> None:
    """Two sizes of one backbone: the report names both, predict embeds with both."""
    cli.well("extract", shop.photos, "--image-size", 48, "-q")
    first, second = sorted(shop.cache_dir.glob("*/*.h5"))
    report = cli.well("fit-head", first, second, "--c", 0.1, "--json").json["report"]
    assert [source["dim"] for source in report["sources"]] == [1280, 1280]
    name = "bundled-efficientnet_lite0-bundled-efficientnet_lite0-logreg-1"
    (run,) = (path for path in shop.runs_dir.iterdir() if path.name.endswith(name))
    page = (run / "report.html").read_text()
    assert page.count("embedcache extract") == 2
    assert f"embedcache fit-head {first} {second}" in page
    done = cli.well("predict", run.name, shop.photos / "class0")
    assert len(done.out.splitlines()) == 5
    done = cli("fit-head", first, first)
    assert done.code == 2
    assert "same backbone" in done.err


def test_a_few_shot_curve_is_part_of_the_report(cli: Command, shop: Shop) -> None:
    """Numbers between commas; anything else is exit code 2."""
    out = cli.well("fit-head", "--model", "ncm", "--shots", "1,2", "--seeds", 2).out
    assert "few-shot, mean ± spread of 2 draws of rows:" in out
    done = cli("fit-head", "--shots", "1;2")
    assert done.code == 2
    assert "whole numbers above 0" in done.err


def test_class_weights_are_told_and_repeated(cli: Command, shop: Shop) -> None:
    """In the text, on the page, and in the command that repeats the run."""
    name = shop.run.name[:-1] + "2"
    done = cli.well("fit-head", "--c", 0.1, "--class-weight", "balanced")
    assert "class weights, balanced: " in done.out
    page = (shop.runs_dir / name / "report.html").read_text()
    assert "Used class weights, balanced" in page
    assert "--class-weight balanced" in page
    done = cli("fit-head", "--model", "knn", "--class-weight", "balanced")
    assert done.code == 2
    assert "knn has no use for class weights" in done.err
