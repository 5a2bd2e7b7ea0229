"""`embedcache extract`, as a person and as a script see it."""

import json
import shutil
from pathlib import Path

import pytest
from builders import image_folder, png
from children import output
from command import Command
from shop import SMALL, Shop

from embedcache.storage.locks import exclusive
from embedcache.store.cache import FeatureCache


def test_the_first_run_embeds_and_the_second_reuses(cli: Command, empty: Shop) -> None:
    """Results go to standard output, with the next command; nothing else is said."""
    first = cli.well("extract", empty.photos, *SMALL)
    assert first.out.startswith("12 rows: 12 embedded, 0 reused, in ")
    assert first.out.endswith(f"next:    embedcache fit-head {empty.cache}\n")
    assert first.err == ""
    second = cli.well("extract", empty.photos, *SMALL)
    assert second.out.startswith("12 rows: 0 embedded, 12 reused, in ")


def test_a_run_with_nothing_to_embed_does_not_import_torch(shop: Shop) -> None:
    """Hashes and looks up, and is done."""
    text = output(
        """
        import json, sys
        from embedcache.cli.main import main
        try:
            main(json.loads(sys.argv[1]))
        except SystemExit as stop:
            assert stop.code == 0
        heavy = {"torch", "torchvision", "timm", "open_clip", "sklearn"}
        print(sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
        """,
        json.dumps(["extract", str(shop.photos), *SMALL, "--json"]),
    )
    result, imported = text.splitlines()
    assert json.loads(result)["reused"] == 12
    assert json.loads(result)["embedded"] == 0
    assert imported == "[]"


def test_json_is_one_object(cli: Command, shop: Shop) -> None:
    """With everything that a script needs to go on."""
    found = cli.well("extract", shop.photos, *SMALL, "--json")
    assert found.err == ""
    expected = {"rows": 12, "embedded": 0, "reused": 12, "rejected": 0, "cache": str(shop.cache)}
    assert expected.items() <= found.json.items()
    assert found.json["seconds"] > 0


def test_rejects_are_counted_named_and_exit_3(cli: Command, shop: Shop, tmp_path: Path) -> None:
    """The rest is cached all the same, and the message says how to see them."""
    photos = image_folder(tmp_path / "mixed")
    (photos / "class0" / "bad.png").write_text("no image")
    done = cli("extract", photos, *SMALL)
    assert done.code == 3
    assert "12 rows: 0 embedded, 12 reused, 1 rejected: 1 not an image" in done.out
    assert "rejects: embedcache inspect --rejects " in done.out
    assert cli("extract", photos, *SMALL, "--json").json["rejected"] == 1


def test_on_error_fail_stops_at_the_first(cli: Command, shop: Shop, tmp_path: Path) -> None:
    """The image is named, and no cache is published."""
    photos = image_folder(tmp_path / "mixed")
    (photos / "class0" / "bad.png").write_text("no image")
    done = cli("extract", photos, *SMALL, "--on-error", "fail")
    assert done.code == 3
    assert "bad.png" in done.err
    assert len(list(shop.cache_dir.glob("*/*.h5"))) == 1


def test_nothing_but_rejects_publishes_nothing(cli: Command, empty: Shop, tmp_path: Path) -> None:
    """Exit code 3 and no cache."""
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_text("no image")
    done = cli("extract", tmp_path / "bad", *SMALL)
    assert done.code == 3
    assert done.err.count("error: ") == 1
    assert list(empty.cache_dir.glob("*/*.h5")) == []


def test_a_dry_run_says_what_would_be_done(cli: Command, empty: Shop) -> None:
    """Images, an estimate of time and size, where the cache would be; and no cache."""
    found = cli.well("extract", empty.photos, *SMALL, "--dry-run", "--json").json
    assert found["rows"] == found["to_embed"] == 12
    assert found["bytes"] > 0
    assert found["images_per_second"] > 0
    assert list(empty.cache_dir.glob("*/*.h5")) == []


def test_a_dry_run_with_nothing_to_do_says_so(
    cli: Command, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No time is estimated where none is needed."""
    # Files of this very second are read again to be sure, which a dry run does not do.
    monkeypatch.setattr("embedcache.extraction.files_index._YOUNG_NS", -(10**18))
    monkeypatch.setattr("embedcache.extraction.files_index._is_trusted", lambda _: True)
    cli.well("extract", shop.photos, *SMALL)
    out = cli.well("extract", shop.photos, *SMALL, "--dry-run").out
    assert out.startswith("12 images: 12 cached, 0 to embed at most\ncache (about ")


def test_a_limit_takes_so_many(cli: Command, shop: Shop) -> None:
    """`--limit 6 --name small` makes a smaller cache beside the whole one."""
    found = cli.well("extract", shop.photos, *SMALL, "--limit", 6, "--name", "small", "--json")
    assert found.json["rows"] == 6
    assert Path(found.json["cache"]).parent.name == "small"


def test_notes_go_to_standard_error_and_quiet_silences_them(
    cli: Command, shop: Shop, tmp_path: Path
) -> None:
    """The result stays."""
    shutil.copytree(shop.photos / "class0", tmp_path / "flat")
    loud = cli.well("extract", tmp_path / "flat", *SMALL)
    assert "the images are unlabelled" in loud.err
    quiet = cli.well("extract", tmp_path / "flat", *SMALL, "-q")
    assert quiet.err == ""
    assert quiet.out.startswith("4 rows: ")
    assert cli.well("extract", tmp_path / "flat", *SMALL, "--json").err == ""


def test_a_new_identity_says_which_field_made_it_so(cli: Command, shop: Shop) -> None:
    """Before it embeds."""
    done = cli.well("extract", shop.photos, "--image-size", 40)
    assert "image_size: 32x32 → 40x40" in done.err
    assert "12 to embed at most" in done.err
    assert len(list(shop.cache_dir.glob("*/*.h5"))) == 2


def test_losing_many_rows_needs_a_word(cli: Command, shop: Shop, tmp_path: Path) -> None:
    """Exit code 4 for a half-mounted disk, and the flag for those who mean it."""
    photos = image_folder(tmp_path / "photos")
    cli.well("extract", photos, *SMALL)
    shutil.rmtree(photos / "class1")
    done = cli("extract", photos, *SMALL)
    assert done.code == 4
    assert "--prune" in done.err
    assert cli.well("extract", photos, *SMALL, "--prune", "--json").json["rows"] == 8


def test_a_second_writer_is_told_who_the_first_is(cli: Command, shop: Shop) -> None:
    """Exit code 6 and the process."""
    lock = shop.cache.with_name(f".{shop.cache.stem}.lock")
    with exclusive(lock):
        done = cli("extract", shop.photos, *SMALL)
    assert done.code == 6
    assert "another process is writing this cache" in done.err
    assert "got:      process " in done.err


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("bundled/efficientnet_lite9", "bundled/efficientnet_lite0"),
        ("timm/resnet5", "timm/resnet50"),
        ("tim/resnet50", "timm"),
    ],
)
def test_an_unknown_backbone_is_met_by_the_nearest(
    cli: Command, empty: Shop, name: str, near: str
) -> None:
    """Exit code 2, names that exist, and how to find others."""
    done = cli("extract", empty.photos, "--backbone", name)
    assert done.code == 2
    assert near in done.err
    assert "next: " in done.err


def test_a_source_that_is_not_there_is_usage(cli: Command, empty: Shop) -> None:
    """What, where, and what to check."""
    done = cli("extract", "nowhere")
    assert done.code == 2
    assert done.err.splitlines()[0] == "error: there is no such folder or table"
    assert str(empty.folder / "nowhere") in done.err


def test_paths_are_shown_as_a_shell_takes_them(cli: Command, empty: Shop, tmp_path: Path) -> None:
    """The next command can be copied, even from a folder with a space in its name."""
    photos = image_folder(tmp_path / "my photos", 2, 2)
    root = tmp_path / "my cache"
    done = cli.well("extract", photos, *SMALL, "--cache-dir", root)
    (cache,) = root.glob("*/*.h5")
    assert f"embedcache fit-head '{cache}'" in done.out


def test_a_manifest_is_read_by_its_columns(cli: Command, shop: Shop, tmp_path: Path) -> None:
    """Flags name the columns and the root; labels, splits and groups come along."""
    table = tmp_path / "list.csv"
    table.write_text(
        "file,species,fold,site\n"
        + "".join(f"class{i % 3}/00{i % 4}.png,s{i % 3},train,g{i % 2}\n" for i in range(12))
    )
    flags = ["--root", shop.photos, "--path-column", "file", "--label-column", "species"]
    flags += ["--split-column", "fold", "--group-column", "site"]
    found = cli.well("extract", table, *flags, *SMALL, "--json").json
    assert (found["rows"], found["embedded"]) == (12, 0)
    cache = FeatureCache(found["cache"])
    assert cache.classes == ("s0", "s1", "s2")
    assert list(cache.tables.groups) == [b"g0", b"g1"]


def test_ten_more_images_embed_ten(cli: Command, shop: Shop, tmp_path: Path) -> None:
    """Those that were cached under another root are not among them."""
    photos = image_folder(tmp_path / "grown")
    for index in range(10):
        (photos / "class0" / f"new {index}.png").write_bytes(png(40_000 + index))
    found = cli.well("extract", photos, *SMALL, "--json").json
    assert (found["rows"], found["embedded"], found["reused"]) == (22, 10, 12)
