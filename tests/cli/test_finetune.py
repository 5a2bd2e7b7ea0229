"""`embedcache finetune` from the command line."""

from __future__ import annotations

from command import Command
from shop import Shop

_QUICK = ("--unfreeze", "last-1", "--steps", 2, "-b", 4, "-j", 0, "--force")


def test_it_trains_and_says_so(shop: Shop, cli: Command) -> None:
    """Text on standard output, notes on standard error; as JSON one object."""
    run = shop.run.name
    done = cli.well("finetune", *_QUICK)
    assert "fine-tuned bundled/efficientnet_lite0: 1 of 17 blocks" in done.out
    assert "cost: about" in done.err
    assert max(len(line) for line in done.out.splitlines() if "/runs/" not in line) <= 80
    again = cli.well("finetune", run, *_QUICK, "--json")
    assert again.json["finetune"]["recipe"]["steps"] == 2
    assert again.json["run"].endswith("-finetune-1")


def test_a_rate_that_is_none(shop: Shop, cli: Command) -> None:
    """Exit code 2."""
    done = cli("finetune", "--lr", "fast")
    assert done.code == 2
    assert "a number or auto" in done.err


def test_a_part_that_is_none(shop: Shop, cli: Command) -> None:
    """Exit code 2, with what there is."""
    done = cli("finetune", "--unfreeze", "last-99")
    assert done.code == 2
    assert "last-1 to last-17" in done.err
