"""A power loss at any moment leaves the old state or the new one, and the next run mends the rest.

The states are those that `power_loss` gives: any subset of what was not synced, in part too.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
from bench import Bench
from builders import image_folder, png
from lab import GREEN, RED, Lab, paint
from power_loss import Recording

from embedcache.runs.folder import list_runs
from embedcache.storage.publish import is_temporary, write_atomic
from embedcache.store.cache import FeatureCache
from embedcache.workflows.fit import load_head


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _states(recording: Recording, count: int, folder: Path) -> list[Path]:
    """So many states, their moments spread evenly."""
    rng = np.random.default_rng(0)
    moments = len(recording.steps) - recording.begun + 1
    paths = [folder / f"state{number}" for number in range(count)]
    for number, path in enumerate(paths):
        recording.after_crash(recording.begun + number * moments // count, rng, path)
    return paths


def test_a_small_file_is_old_or_new(tmp_path: Path) -> None:
    """Whatever is lost, the name has one content or the other, whole."""
    root = tmp_path / "disk"
    root.mkdir()
    old, new = b"old" * 1000, b"new" * 2000
    write_atomic(root / "file", old)
    recording = Recording(root)
    with recording.watching():
        write_atomic(root / "file", new)
    seen = {(state / "file").read_bytes() for state in _states(recording, 200, tmp_path)}
    assert seen == {old, new}


def test_the_recording_misses_nothing(tmp_path: Path) -> None:
    """What it recorded of an extraction and a fit makes the same files again."""
    lab = _lab(tmp_path)
    recording = Recording(tmp_path / "disk")
    with recording.watching():
        lab.extract()
        lab.fit()
    recording.whole(tmp_path / "again")
    assert _files(tmp_path / "again") == _files(tmp_path / "disk")


def test_a_disk_that_does_not_sync_is_found_out(tmp_path: Path) -> None:
    """Where every sync is ignored, broken files appear: the tests of this module can fail."""
    root = tmp_path / "disk"
    root.mkdir()
    new = b"new" * 1000
    recording = Recording(root)
    with recording.watching():
        write_atomic(root / "file", new)
    recording.forget_syncs()
    states = [state / "file" for state in _states(recording, 200, tmp_path)]
    assert {path.read_bytes() for path in states if path.exists()} - {new}


def _lab(folder: Path) -> Lab:
    photos = folder / "photos"
    for seed in range(10):
        paint(photos / "red" / f"{seed}.png", RED, seed)
        paint(photos / "green" / f"{seed}.png", GREEN, 100 + seed)
    (folder / "disk").mkdir()
    return Lab(photos, folder / "disk" / "cache", folder / "disk" / "runs")


@pytest.fixture
def nobody_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power loss the writers of temporary files are gone; here they are this process."""
    monkeypatch.setattr("embedcache.extraction.cleanup.has_dead_writer", is_temporary)


def _extraction_survives(tmp_path: Path, states: int) -> None:
    """Twelve pictures are cached; eight more, one edited and one gone are extracted."""
    bench = Bench(image_folder(tmp_path / "photos"), tmp_path / "disk" / "cache")
    bench.extract()
    (old,) = bench.published()
    before = old.read_bytes()
    first, second, *_ = sorted(bench.photos.rglob("*.png"))
    first.write_bytes(png(777))
    second.unlink()
    for seed in range(8):
        (bench.photos / "class1" / f"new {seed}.png").write_bytes(png(900 + seed))
    recording = Recording(tmp_path / "disk")
    with recording.watching():
        bench.extract()
    after = old.read_bytes()
    name = old.relative_to(tmp_path / "disk")
    for state in _states(recording, states, tmp_path):
        assert (state / name).read_bytes() in (before, after), "never neither"
        again = Bench(bench.photos, state / "cache")
        again.extract()
        assert (state / name).read_bytes() == after
        assert not again.works()
        shutil.rmtree(state)


@pytest.mark.usefixtures("small_jobs", "fixed_date", "nobody_lives")
def test_an_extraction_survives(tmp_path: Path) -> None:
    """The cache is the old one or the new one, and the next run makes the new one, bit by bit."""
    _extraction_survives(tmp_path, 60)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("small_jobs", "fixed_date", "nobody_lives")
def test_an_extraction_survives_a_thousand_times(tmp_path: Path) -> None:
    """As above, a thousand states."""
    _extraction_survives(tmp_path, 1000)


def _fit_survives(tmp_path: Path, states: int) -> None:
    lab = _lab(tmp_path)
    lab.extract()
    first = lab.fit().path
    recording = Recording(tmp_path / "disk")
    with recording.watching():
        second = lab.fit().path
    cache = next(lab.cache_dir.glob("*/*.h5"))
    features = FeatureCache(cache).X
    expected = {path.name: load_head(path).predict_proba(features) for path in (first, second)}
    for state in _states(recording, states, tmp_path):
        names = [path.name for path in list_runs(state / "runs")]
        assert names in ([first.name], [first.name, second.name])
        for name in names:
            head = load_head(state / "runs" / name)
            np.testing.assert_array_equal(head.predict_proba(features), expected[name])
        shutil.rmtree(state)


def test_a_fit_survives(tmp_path: Path) -> None:
    """Every run that is listed is whole, and runs that were there stay."""
    _fit_survives(tmp_path, 60)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_fit_survives_a_thousand_times(tmp_path: Path) -> None:
    """As above, a thousand states."""
    _fit_survives(tmp_path, 1000)
