"""Malicious files, through the command line: refused, and nothing outside is read or run."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from artefacts import ARTEFACTS, Place
from builders import png
from command import Command
from watch import Watch

from embedcache.workflows.fit import fit_head
from embedcache.workflows.import_features import import_features


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Imported features of forty rows, their cache, and two runs on it."""
    folder = tmp_path_factory.mktemp("victim")
    features = np.random.default_rng(0).standard_normal((40, 5)).astype("f4")
    features[::2, 0] += 6
    np.save(folder / "x.npy", features)
    lines = [f"{row}.png,{'ab'[row % 2]},{'test' if row > 29 else 'train'}" for row in range(40)]
    (folder / "labels.csv").write_text("\n".join(["id,label,split", *lines]))
    cache = import_features(
        folder / "x.npy", "dino", labels=folder / "labels.csv", cache_dir=folder / "cache"
    ).cache
    (folder / "picture.png").write_bytes(png(0))
    for value in (0.1, 1.0):
        fit_head(cache, runs_dir=folder / "runs", values=(value,))
    return folder


@pytest.fixture
def place(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A copy to plant things in, and sound files outside of it that must stay unopened."""
    folder, outside = tmp_path / "here", tmp_path / "outside"
    shutil.copytree(built, folder)
    outside.mkdir()
    (cache,) = folder.glob("cache/*/*.h5")
    run, other = sorted(folder.glob("runs/*-[12]"))
    (outside / "secret").write_bytes(bytes(200))
    shutil.copy(cache, outside / "good.h5")
    for path in [*other.iterdir(), *folder.glob("runs/ledger.json")]:
        if path.is_file():
            shutil.copy(path, outside / path.name)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HDF5_PLUGIN_PATH", os.devnull)  # artefacts may set it
    return Place(folder, outside, cache, run, other)


@pytest.mark.parametrize("name", ARTEFACTS)
def test_it_is_refused_and_nothing_outside_is_touched(
    name: str, place: Place, cli: Command
) -> None:
    """With its exit code and a next step or a reason; the kernel sees no access outside."""
    code, make = ARTEFACTS[name]
    arguments = make(place)
    with Watch(place.outside) as watch:
        done = cli(*arguments)
        assert watch.events() == []
    assert (done.code, done.out) == (code, ""), done.err
    assert "\nerror: " in "\n" + done.err


def test_the_sound_files_are_read(place: Place, cli: Command) -> None:
    """Without an artefact the same commands work, and a watch sees who reads outside."""
    cli.well("inspect", place.cache)
    cli.well("predict", place.run, place.folder / "x.npy")
    cli.well("compare", place.run, place.other)
    with Watch(place.outside) as watch:
        cli.well("inspect", place.outside / "good.h5")
        assert "opened good.h5" in watch.events()


def test_enough_kinds() -> None:
    """More than twenty, of every family."""
    assert len(ARTEFACTS) >= 35
    families = {name.partition(":")[0] for name in ARTEFACTS}
    assert families >= {"cache", "head", "run", "lock", "weights", "features", "manifest"}
