"""`embedcache inspect` shows everything that a cache holds."""

from command import Command
from hostile import flip
from shop import Shop

from embedcache.store.cache import FeatureCache


def test_the_description_is_for_people(cli: Command, shop: Shop) -> None:
    """Size, source, identity, numerics, environment, licences and classes."""
    out = cli.well("inspect").out
    assert out.startswith("12 rows × 1,280, ")
    for words in (str(shop.cache), str(shop.photos), "Apache-2.0", "bicubic", "class2", "torch"):
        assert words in out


def test_json_is_one_object(cli: Command, shop: Shop) -> None:
    """The same for scripts."""
    found = cli.well("inspect", shop.cache, "--json").json
    cache = FeatureCache(shop.cache)
    assert (found["rows"], found["dim"]) == (12, 1280)
    assert found["identity"] == cache.identity.to_json()
    assert found["classes"]["class1"] == {"none": 4, "train": 0, "val": 0, "test": 0}
    assert found["rejects"] == {}
    assert "row_list" not in found


def test_rows_are_listed(cli: Command, shop: Shop) -> None:
    """As a table for people and as a list for scripts."""
    cache = FeatureCache(shop.cache)
    lines = [line.split("\t") for line in cli.well("inspect", "--rows").out.splitlines()]
    assert lines[0] == ["id", "label", "split", "sha256"]
    assert [line[0] for line in lines[1:]] == [cache.ids.text(row) for row in range(12)]
    assert lines[1][3] == cache.sha256[0].tobytes().hex()
    rows = cli.well("inspect", "--rows", "--json").json["row_list"]
    assert [row["label"] for row in rows] == [cache.classes[code] for code in cache.y]


def test_rejects_are_listed_with_their_names_escaped(cli: Command, shop: Shop) -> None:
    """A name cannot colour the terminal."""
    folder = shop.folder / "mixed"
    folder.mkdir()
    (folder / "good.png").write_bytes((shop.photos / "class0" / "000.png").read_bytes())
    (folder / "bad\x1b[31m.png").write_text("no image")
    done = cli("extract", folder, "--image-size", 32, "--json")
    cache = done.json["cache"]
    out = cli.well("inspect", cache, "--rejects").out
    assert out == "bad\\x1b[31m.png: not an image: text\n"
    (reject,) = cli.well("inspect", cache, "--rejects", "--json").json["reject_list"]
    assert reject["id"] == "bad\x1b[31m.png"
    assert "rejected: 1 not an image" in cli.well("inspect", cache).out


def test_a_damaged_cache_is_refused(cli: Command, shop: Shop) -> None:
    """Exit code 4, and the file is named."""
    cache = shop.cache
    cache.write_bytes(cache.read_bytes()[:-1000])
    done = cli("inspect")
    assert done.code == 4
    assert str(cache) in done.err
    flip(cache, 0)
    assert cli("inspect").code == 4


def test_all_but_paths_fits_80_columns(shop: Shop, cli: Command) -> None:
    """Numerics and environment go over several lines."""
    lines = cli.well("inspect").out.splitlines()
    assert max(len(line) for line in lines if str(shop.folder) not in line) <= 80
    text = " ".join(map(str.strip, lines))
    assert "memory_format channels_last, batch_size" in text
