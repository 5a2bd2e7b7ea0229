import dataclasses
import os
from pathlib import Path

import builders
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcache.errors import UsageError
from embedcache.store.catalog import (
    CachePlace,
    cache_root,
    caches_of_identity,
    choose_cache,
    find_caches,
    slug,
)


def _touch(path: Path, when: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (when, when))
    return path


def test_the_root_is_the_option_else_the_variable_else_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The root is always absolute."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EMBEDCACHE_DIR", raising=False)
    assert cache_root() == tmp_path / "cache"
    monkeypatch.setenv("EMBEDCACHE_DIR", "elsewhere")
    assert cache_root() == tmp_path / "elsewhere"
    assert cache_root("/given") == Path("/given")
    monkeypatch.setenv("EMBEDCACHE_DIR", "")
    assert cache_root() == tmp_path / "cache"


@given(st.text())
def test_slugs_are_file_names(name: str) -> None:
    """Whatever a backbone is called, its slug climbs nowhere and hides nothing."""
    result = slug(name)
    assert result
    assert result.isascii()
    assert not set(result) & set("/\\\0 \n")
    assert not result.startswith((".", "-"))


def test_the_paths_of_a_cache(tmp_path: Path) -> None:
    """All files of a cache lie in its data set's folder; only the cache itself is visible."""
    place = CachePlace(tmp_path, "flowers-1234", "timm/resnet18.a1_in1k", builders.IDENTITY)
    short = builders.IDENTITY.short
    assert place.file == tmp_path / "flowers-1234" / f"timm-resnet18.a1_in1k-{short}.h5"
    for path in (place.work, place.lock, place.files_index):
        assert path.parent == place.folder
        assert path not in find_caches(tmp_path)
    assert place.work.name.startswith(".")


def test_a_long_backbone_name_still_fits(tmp_path: Path) -> None:
    """File names stay below the 255 bytes that file systems allow."""
    place = CachePlace(tmp_path, "d", "x" * 500, builders.IDENTITY)
    assert max(len(path.name) for path in (place.file, place.work, place.lock)) < 200


def test_only_regular_visible_files_are_caches(tmp_path: Path) -> None:
    """Folders, dangling links, hidden files and other depths are no caches."""
    wanted = _touch(tmp_path / "d" / "a.h5", 1)
    _touch(tmp_path / "d" / ".b.h5.tmp-1-2", 1)
    _touch(tmp_path / "d" / ".hidden.h5", 1)
    _touch(tmp_path / "top.h5", 1)
    _touch(tmp_path / "d" / "e" / "deep.h5", 1)
    (tmp_path / "d" / "folder.h5").mkdir()
    (tmp_path / "d" / "dangling.h5").symlink_to("nowhere")
    assert find_caches(tmp_path) == [wanted]
    assert choose_cache(tmp_path, "verify") == wanted


def test_caches_of_one_identity_come_newest_first(tmp_path: Path) -> None:
    """Only the name counts; other identities are left out."""
    other = dataclasses.replace(builders.IDENTITY, pooling="cls")
    short = builders.IDENTITY.short
    old = _touch(tmp_path / "a" / f"x-{short}.h5", 100)
    new = _touch(tmp_path / "b" / f"y-{short}.h5", 200)
    _touch(tmp_path / "b" / f"y-{other.short}.h5", 300)
    assert caches_of_identity(tmp_path, builders.IDENTITY) == [new, old]


def test_without_a_cache_there_is_nothing_to_choose(tmp_path: Path) -> None:
    """An empty root, or none, is a usage error that says how to make a cache."""
    for root in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UsageError, match="no cache yet") as caught:
            choose_cache(root, "verify")
        assert "embedcache extract" in str(caught.value)


def test_one_data_set_gives_its_newest_cache(tmp_path: Path) -> None:
    """Several backbones of one data set: the newest file is meant."""
    _touch(tmp_path / "d" / "new.h5", 100)
    newest = _touch(tmp_path / "d" / "a.h5", 300)
    _touch(tmp_path / "d" / "old.h5", 200)
    assert choose_cache(tmp_path, "verify") == newest


def test_a_tuned_cache_is_not_fine_tuned_by_default(tmp_path: Path) -> None:
    """It is the newest, but the same call of `finetune` shall mean the same; alone it is taken."""
    (tmp_path / "a").mkdir()
    names = ("timm-x-0123456789ab.h5", "tuned-x-0123456789ab.h5")
    frozen, tuned = (tmp_path / "a" / name for name in names)
    for time, path in enumerate((frozen, tuned)):
        path.touch()
        os.utime(path, (time, time))
    assert choose_cache(tmp_path, "finetune", frozen=True) == frozen
    assert choose_cache(tmp_path, "fit-head") == tuned
    frozen.unlink()
    assert choose_cache(tmp_path, "finetune", frozen=True) == tuned


def test_several_data_sets_are_listed(tmp_path: Path) -> None:
    """With several data sets a person has to say which; all caches are listed."""
    paths = [_touch(tmp_path / name / "x.h5", 1) for name in ("a", "b")]
    with pytest.raises(UsageError, match="2 data sets") as caught:
        choose_cache(tmp_path, "verify")
    assert all(str(path) in str(caught.value) for path in paths)
    assert f"embedcache verify {paths[0]}" in str(caught.value)
    assert caught.value.exit_code == 2
