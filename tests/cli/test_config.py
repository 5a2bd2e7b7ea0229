"""`--config FILE.toml` gives options and arguments their defaults."""

from pathlib import Path

import pytest
from command import Command
from shop import Shop


def _write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


def test_a_section_gives_options_and_arguments(cli: Command, shop: Shop) -> None:
    """Keys are spelled as the flags; the source is one of them."""
    config = _write(
        shop.folder,
        f'[extract]\nsource = "{shop.photos}"\nimage-size = 32\njson = true\n[fit-head]\nc = 1\n',
    )
    found = cli.well("extract", "--config", config).json
    assert (found["rows"], found["embedded"]) == (12, 0)
    report = cli.well("fit-head", "--config", config, "--json").json["report"]
    assert [score["setting"]["C"] for score in report["selection"]["scores"]] == [1.0]


def test_lists_give_repeatable_options_and_many_arguments(cli: Command, shop: Shop) -> None:
    """`c = […]`, `images = […]`."""
    config = _write(
        shop.folder,
        "[fit-head]\nc = [0.1, 1]\n"
        f'[predict]\nrun = "{shop.run.name}"\n'
        f'images = ["{shop.photos}/class0", "{shop.photos}/class2"]\n',
    )
    report = cli.well("fit-head", "--config", config, "--json").json["report"]
    assert [score["setting"]["C"] for score in report["selection"]["scores"]] == [0.1, 1.0]
    assert len(cli.well("predict", "--config", config).out.splitlines()) == 9


def test_the_command_line_goes_before_the_file(cli: Command, shop: Shop) -> None:
    """Also for arguments."""
    config = _write(shop.folder, '[extract]\nsource = "nowhere"\nimage-size = 64\njson = true\n')
    found = cli.well("extract", shop.photos, "--config", config, "--image-size", 32).json
    assert (found["rows"], found["embedded"]) == (12, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[extrct]\nsource = 'a'", "expected: [extract]"),
        ("[colours]\nred = 1", "expected: one of [run], [extract], [import], [fit-head]"),
        ("extract = 3", "not a section"),
        ("[extract]\nimagesize = 32", "expected: image-size"),
        ("[extract]\nimage_size = 32", "expected: image-size"),
        ("[extract]\nzzz = 1", "expected: an option of embedcache extract --help"),
        ("[fit-head]\nmodle = 'logreg'", "expected: model"),
        ("[extract]\nsource = ['a', 'b']", "not a value for 'source' in section [extract]"),
        ("[extract]\nimage-size = {a = 1}", "not a value for 'image-size'"),
        ("[fit-head]\nc = [[1]]", "text, a number, true or false, or a list of them"),
        ("[extract]\nimage-size = 'big'\nsource = 'a'", "'--image-size': 'big' is not a valid"),
        ("[extract]\nimage-size = 2\nsource = 'a'", "2 is not in the range x>=8"),
        ("[extract", "the configuration cannot be read"),
        ("a = " + "[" * 10_000, "the configuration cannot be read"),
        ("[extract]\nconfig = 'other.toml'", "unknown key 'config'"),
    ],
)
def test_what_is_wrong_in_the_file_is_usage(
    cli: Command, empty: Shop, text: str, said: str
) -> None:
    """Exit code 2, whichever section it is in, and the nearest key."""
    done = cli("extract", "--config", _write(empty.folder, text))
    assert done.code == 2
    assert said in done.err


def test_a_file_that_is_not_there_is_usage(cli: Command, empty: Shop) -> None:
    """Exit code 2, and its name."""
    done = cli("extract", "--config", "none.toml")
    assert done.code == 2
    assert "none.toml" in done.err


def test_bytes_that_are_no_text_are_usage(cli: Command, empty: Shop) -> None:
    """Exit code 2, no traceback."""
    path = empty.folder / "x.toml"
    path.write_bytes(b"\xff\xfe\x00")
    assert cli("extract", "--config", path).code == 2
