"""`embedcache verify` finds what is wrong, and `--repair` mends it."""

from command import Command
from hostile import flip_feature
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
