"""`embedcache backbones` lists what there is."""

from command import Command


def test_the_short_list_begins_with_what_is_always_there(cli: Command) -> None:
    """Name, dimension, input size, parameters, and whether the weights are here."""
    done = cli.well("backbones", "--most", 1)
    header, line = done.out.splitlines()
    assert header.split() == ["name", "D", "input", "params", "here"]
    assert line.split() == ["bundled/efficientnet_lite0", "1,280", "224x224", "3.4", "M", "yes"]
    assert "more names; --most N" in done.err
    assert cli.well("backbones", "--most", 1, "-q").err == ""


def test_a_search_finds_names_of_every_source(cli: Command) -> None:
    """As one JSON object for scripts."""
    found = cli.well("backbones", "--search", "efficientnet_lite", "--most", 2, "--json").json
    assert len(found["backbones"]) == 2
    assert found["left_out"] >= 1
    assert found["backbones"][0]["name"] == "bundled/efficientnet_lite0"
    assert found["backbones"][0]["dim"] == 1280


def test_a_search_that_finds_nothing_says_so(cli: Command) -> None:
    """It is an answer, not an error."""
    done = cli.well("backbones", "--search", "no such\x1bname")
    assert done.out == "no backbone's name contains 'no such\\x1bname'\n"
