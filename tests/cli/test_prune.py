"""`embedcache prune` lists what can go, and deletes it only when told to."""

import shutil

from builders import make_cache
from command import Command
from shop import Shop


def test_nothing_to_prune(cli: Command, shop: Shop) -> None:
    """Everything is referred to."""
    assert cli.well("prune").out == "0 leftovers, 0 B\n"


def test_dry_by_default(cli: Command, shop: Shop) -> None:
    """Listed with size and reason, deleted by `--delete`, and then gone from the list."""
    shutil.rmtree(shop.cache.parent)
    (shop.cache_dir / "old data").mkdir()
    path = make_cache(shop.cache_dir / "old data" / "fake-0123456789ab.h5").path
    out = cli.well("prune").out
    assert f"'{path}' (" in out
    assert "its source is gone and no run refers to its backbone" in out
    assert "\n1 leftover, " in out
    assert "embedcache prune --delete deletes them" in out
    assert path.exists()
    found = cli.well("prune", "--json").json
    assert found["deleted"] is False
    assert [entry["path"] for entry in found["leftovers"]] == [str(path)]
    assert cli.well("prune", "--delete", "-q").out.startswith("deleted 1 leftover, ")
    assert not path.exists()
    assert cli.well("prune").out == "0 leftovers, 0 B\n"
