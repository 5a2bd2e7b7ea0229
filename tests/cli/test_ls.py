"""`embedcache ls` lists caches and runs, and what of them is stale."""

import pytest
from command import Command
from shop import Shop


def test_empty_roots_say_how_to_begin(cli: Command, empty: Shop) -> None:
    """And where they would be."""
    out = cli.well("ls").out
    assert f"caches under {empty.cache_dir}\n  none yet; embedcache extract SOURCE" in out
    assert f"runs under {empty.runs_dir}\n  none yet; embedcache fit-head" in out


def test_caches_and_runs_are_listed_with_size_and_state(cli: Command, shop: Shop) -> None:
    """By their names under the roots."""
    out = cli.well("ls").out
    assert f"  {shop.cache.relative_to(shop.cache_dir)}\n    12 × 1,280, " in out
    assert f"  {shop.run.name}\n    " in out
    assert out.count(", ok\n") == 2


def test_json_is_one_object(cli: Command, shop: Shop) -> None:
    """Entries by field."""
    found = cli.well("ls", "--json").json
    assert [entry["path"] for entry in found["caches"]] == [str(shop.cache)]
    assert [entry["path"] for entry in found["runs"]] == [str(shop.run)]
    assert found["root"] == str(shop.cache_dir)


def test_the_environment_names_the_roots(
    cli: Command, empty: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`EMBEDCACHE_DIR` and `EMBEDCACHE_RUNS_DIR`; options go before them."""
    monkeypatch.setenv("EMBEDCACHE_DIR", str(empty.folder / "a"))
    monkeypatch.setenv("EMBEDCACHE_RUNS_DIR", str(empty.folder / "b"))
    out = cli.well("ls").out
    assert f"caches under {empty.folder / 'a'}" in out
    assert f"runs under {empty.folder / 'b'}" in out
    out = cli.well("ls", "--cache-dir", "c", "--runs-dir", "d").out
    assert f"caches under {empty.folder / 'c'}" in out
    assert f"runs under {empty.folder / 'd'}" in out


def test_names_are_escaped(cli: Command, shop: Shop) -> None:
    """A folder's name cannot colour the terminal."""
    shop.cache.parent.rename(shop.cache_dir / "a\x1b[31m")
    shop.run.rename(shop.runs_dir / "b\x1b[31m")
    out = cli.well("ls").out
    assert "\x1b" not in out
    assert "a\\x1b[31m/" in out
    assert "b\\x1b[31m" in out
