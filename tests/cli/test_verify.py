"""`embedcache verify` finds what is wrong, and `--repair` mends it."""

import shutil
from pathlib import Path

from command import Command
from hostile import flip_feature, flip_table, replaced
from shop import Shop

from embedcache.store.cache import FeatureCache


def test_a_sound_cache_exits_0(cli: Command, shop: Shop) -> None:
    """Sums, some rows and the golden record are checked."""
    out = cli.well("verify").out
    assert "recomputed: 8 of 8 rows are the same" in out
    assert "golden record: reproduced" in out
    found = cli.well("verify", shop.cache, "--rows", 2, "--json").json
    assert (found["sound"], found["recomputed"], found["damaged"]) == (True, 2, 0)
    assert found["repaired"] is None


def test_a_flipped_bit_exits_4_and_is_repaired(cli: Command, shop: Shop) -> None:
    """The damaged rows are embedded again, and then all is as it was before."""
    cache = shop.cache
    before = FeatureCache(cache).X.copy()
    flip_feature(cache, 5)
    done = cli("verify", "--rows", 0)
    assert done.code == 4
    assert "DAMAGED" in done.out
    assert f"next:    embedcache verify --repair {cache}" in done.out
    mended = cli.well("verify", "--repair", "--rows", 0, "--json").json
    assert mended["sound"] is True
    assert 1 <= mended["repaired"] <= 12
    assert abs(FeatureCache(cache).X.astype(float) - before).max() < 1e-2


def test_a_flipped_bit_of_a_table_exits_4_and_is_repaired(cli: Command, shop: Shop) -> None:
    """The message names the table and the command, which flips the bit back."""
    cache = shop.cache
    before = FeatureCache(cache).y.copy()
    flip_table(replaced(cache), "labels", 1 / 2)
    done = cli("verify")
    assert done.code == 4
    assert "/labels is damaged" in done.err
    assert f"embedcache verify --repair {cache} puts a flipped bit back" in done.err
    out = cli.well("verify", "--repair", "--rows", 0).out
    assert "repaired: a flipped bit of /labels" in out
    assert (FeatureCache(cache).y == before).all()
    flip_table(replaced(cache), "labels", 1 / 2)
    assert cli.well("verify", "--repair", "--rows", 0, "--json").json["tables"] == ["labels"]


def test_lost_rows_are_named_and_left_out_on_request(cli: Command, shop: Shop) -> None:
    """First exit 4 with their names and the next command; then a sound cache without them."""
    photos = shop.folder / "photos"
    shutil.copytree(shop.photos, photos)
    cache = Path(cli.well("extract", photos, "--image-size", 32, "--json").json["cache"])
    flip_feature(cache, 5)
    (photos / "class1" / "002.png").unlink()
    before = cache.read_bytes()
    done = cli("verify", "--repair", cache)
    assert done.code == 4
    assert "1 of 12 damaged rows are lost" in done.err
    assert "class1/002.png" in done.err
    assert f"embedcache verify --repair --drop-lost {cache}" in done.err
    assert cache.read_bytes() == before
    out = cli.well("verify", "--repair", "--drop-lost", cache).out
    assert "repaired: 11 images embedded again\ndropped: class1/002.png\n11 rows:" in out
    assert cli.well("verify", cache, "--json").json["sound"] is True
    assert cli("verify", "--drop-lost", cache).code == 2


def test_without_the_images_sums_are_checked_all_the_same(cli: Command, shop: Shop) -> None:
    """Rows whose images have changed since are said, not counted as wrong."""
    photos = shop.folder / "photos"
    photos.mkdir()
    data = (shop.photos / "class0" / "000.png").read_bytes()
    (photos / "a.png").write_bytes(data)
    cache = cli.well("extract", photos, "--image-size", 32, "--json").json["cache"]
    (photos / "a.png").unlink()
    out = cli.well("verify", cache).out
    assert "changed or gone since: 1 of the sample (a.png)" in out
