"""Pictures, a real backbone's cache of them, and a run: made once, and copied to be changed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import image_folder
from building import built_once
from shop import BACKBONE, Shop

from embedcache.workflows.extract import extract_source
from embedcache.workflows.fit import fit_head


@pytest.fixture(scope="session", autouse=True)
def one_build() -> Iterator[None]:
    """Bundled backbones are built once: what building does is tested in tests/backbones."""
    with built_once():
        yield


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Twelve pictures in three classes, cached and fitted."""
    shop = Shop(tmp_path_factory.mktemp("shop"))
    image_folder(shop.photos)
    extract_source(shop.photos, **BACKBONE, cache_dir=shop.cache_dir)
    fit_head(cache_dir=shop.cache_dir, runs_dir=shop.runs_dir, values=(0.1,))
    return shop


@pytest.fixture
def shop(built: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A copy of cache and run, beside the same pictures; its folder is the working folder."""
    shutil.copytree(built.cache_dir, tmp_path / "cache")
    shutil.copytree(built.runs_dir, tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return Shop(tmp_path, built.photos)


@pytest.fixture
def empty(built: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The same pictures, and a working folder without cache and runs."""
    monkeypatch.chdir(tmp_path)
    return Shop(tmp_path, built.photos)
