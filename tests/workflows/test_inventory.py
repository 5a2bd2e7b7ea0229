"""What lies under the roots is listed, and what nothing refers to is found and deleted."""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from builders import IDENTITY
from fakes import FakeBackbone
from hostile import flip
from lab import RED, Lab, paint

from embedcache.storage.publish import TEMPORARY_MARK
from embedcache.workflows.fit import fit_head
from embedcache.workflows.inventory import caches, delete, leftovers, runs

_TWO_HOURS_AGO = time.time() - 7200


def _age(path: Path) -> Path:
    os.utime(path, (_TWO_HOURS_AGO, _TWO_HOURS_AGO))
    return path


@pytest.fixture
def dead_pid() -> int:
    """Number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_empty_roots_hold_nothing(lab: Lab) -> None:
    """Folders that do not exist are empty ones."""
    assert caches(lab.cache_dir) == []
    assert runs(lab.runs_dir, []) == []
    assert leftovers(lab.cache_dir, lab.runs_dir) == []


def test_a_cache_and_its_run_are_listed_as_sound(lab: Lab) -> None:
    """With sizes, names, and where the images came from."""
    path = lab.extract().cache
    run = lab.fit(values=(1.0,))
    (cache,) = caches(lab.cache_dir)
    assert (cache.path, cache.rows, cache.dim, cache.state) == (path, 20, 6, "ok")
    assert cache.bytes == path.stat().st_size
    assert cache.source == str(lab.photos)
    (entry,) = runs(lab.runs_dir, [cache])
    assert (entry.path, entry.model, entry.backbone) == (run.path, "logreg", "fake/mean")
    assert entry.state == "ok"
    assert entry.bytes == sum(file.stat().st_size for file in run.path.iterdir())
    assert leftovers(lab.cache_dir, lab.runs_dir) == []


def test_a_run_is_stale_when_its_cache_has_moved_on(lab: Lab) -> None:
    """The rows that it was fitted on are no longer all the cache's rows."""
    lab.extract()
    lab.fit(values=(1.0,))
    paint(lab.photos / "red" / "new.png", RED, 50)
    lab.extract()
    (entry,) = runs(lab.runs_dir, caches(lab.cache_dir))
    assert "has changed" in entry.state


def test_what_is_stale_damaged_or_unfinished_says_so(lab: Lab) -> None:
    """The state of an entry is a sentence to act on."""
    path = lab.extract().cache
    run = lab.fit(values=(1.0,))
    work = path.with_name(f".{path.stem}.work")
    work.mkdir()
    assert caches(lab.cache_dir)[0].state == "unfinished update: extract again"
    other = path.with_name(".other-0123456789ab.work")
    work.rename(other)
    assert [entry.state for entry in caches(lab.cache_dir)] == ["ok", "unfinished: extract again"]
    other.rmdir()
    lab.photos.rename(lab.photos.with_name("elsewhere"))
    assert caches(lab.cache_dir)[0].state == "source is gone"
    flip(path, path.stat().st_size // 2)
    flip(path, 9)
    assert caches(lab.cache_dir)[0].state.startswith("invalid: ")
    (run.path / "head.safetensors").write_bytes(b"")
    assert runs(lab.runs_dir, [])[0].state.startswith("invalid: ")


def test_abandoned_temporaries_are_leftovers(lab: Lab, dead_pid: int) -> None:
    """Old ones of dead processes go; young ones and those of the living stay."""
    lab.extract()
    lab.fit(values=(1.0,))
    (folder,) = lab.cache_dir.glob("photos-*")
    dead = folder / f".a.h5{TEMPORARY_MARK}{dead_pid}-aa"
    young = folder / f".b.h5{TEMPORARY_MARK}{dead_pid}-bb"
    alive = folder / f".c.h5{TEMPORARY_MARK}{os.getpid()}-cc"
    foreign = folder / f".d.h5{TEMPORARY_MARK}someone-dd"
    for path in (dead, young, alive, foreign):
        path.write_bytes(b"12345")
    for path in (dead, alive, foreign):
        _age(path)
    run = lab.runs_dir / f".run{TEMPORARY_MARK}{dead_pid}-ee"
    run.mkdir()
    inner = run / f".head.json{TEMPORARY_MARK}{dead_pid}-ff"
    inner.write_bytes(b"123")
    _age(inner)
    _age(run)
    found = leftovers(lab.cache_dir, lab.runs_dir)
    assert [(item.path, item.bytes) for item in found] == [(dead, 5), (run, 3)]
    for item in found:
        delete(item)
    assert not dead.exists()
    assert not run.exists()
    assert young.exists()
    assert alive.exists()
    assert leftovers(lab.cache_dir, lab.runs_dir) == []


def test_one_root_for_both_lists_nothing_twice(lab: Lab, dead_pid: int) -> None:
    """Runs may lie under the cache root."""
    lab.runs_dir = lab.cache_dir / "runs"
    lab.extract()
    lab.fit(values=(1.0,))
    mark = lab.runs_dir / f".x{TEMPORARY_MARK}{dead_pid}-aa"
    mark.write_bytes(b"")
    _age(mark)
    assert [item.path for item in leftovers(lab.cache_dir, lab.runs_dir)] == [mark]


def test_shards_without_a_plan_are_leftovers_once_nobody_works_there(lab: Lab) -> None:
    """A plan says that somebody will go on; a young folder may be about to get one."""
    path = lab.extract().cache
    work = path.with_name(f".{path.stem}.work")
    work.mkdir()
    (work / "shard-0.h5").write_bytes(b"123")
    assert leftovers(lab.cache_dir, lab.runs_dir) == []
    (found,) = leftovers(lab.cache_dir, lab.runs_dir) if _age(work) else []
    assert (found.path, found.bytes) == (work, 3)
    (work / "plan.json").write_bytes(b"{}")
    _age(work)
    assert leftovers(lab.cache_dir, lab.runs_dir) == []


def test_a_cache_is_a_leftover_without_source_and_without_run(lab: Lab) -> None:
    """A run keeps the features of its backbone, a source keeps its cache."""
    path = lab.extract().cache
    run = lab.fit(values=(1.0,))
    elsewhere = lab.photos.rename(lab.photos.with_name("elsewhere"))
    assert leftovers(lab.cache_dir, lab.runs_dir) == []
    shutil.rmtree(run.path)
    (found,) = leftovers(lab.cache_dir, lab.runs_dir)
    assert (found.path, found.bytes) == (path, path.stat().st_size)
    elsewhere.rename(lab.photos)
    assert leftovers(lab.cache_dir, lab.runs_dir) == []
    delete(found)
    assert not path.exists()


def test_a_run_of_two_caches_needs_both(lab: Lab) -> None:
    """It is stale when one is gone, and keeps the caches of both its backbones."""
    other = FakeBackbone(replace(IDENTITY, resize_to="4x4", image_size="4x4"))
    paths = [lab.extract(each).cache for each in (FakeBackbone(), other)]
    run = fit_head(paths, values=(1.0,), runs_dir=lab.runs_dir)
    entries = caches(lab.cache_dir)
    (entry,) = runs(lab.runs_dir, entries)
    assert entry.state == "ok"
    assert entry.backbone == "fake/mean + fake/mean"
    assert len(entry.identities) == len(entry.contents) == 2
    for missing in entries:
        kept = [each for each in entries if each is not missing]
        assert runs(lab.runs_dir, kept)[0].state == "its cache has changed since or is gone"
    lab.photos.rename(lab.photos.with_name("elsewhere"))
    assert leftovers(lab.cache_dir, lab.runs_dir) == []
    shutil.rmtree(run.path)
    assert len(leftovers(lab.cache_dir, lab.runs_dir)) == 2


def test_an_index_of_files_goes_with_the_last_cache(lab: Lab) -> None:
    """It only saves reading what a cache has; beside one, or young, it stays."""
    path = lab.extract().cache
    index = path.with_name("files.index")
    assert index.exists()
    _age(index)
    assert leftovers(lab.cache_dir, lab.runs_dir) == []
    shutil.rmtree(lab.photos)
    found = [item.path for item in leftovers(lab.cache_dir, lab.runs_dir)]
    assert found == [path, index]
    path.unlink()
    assert [item.path for item in leftovers(lab.cache_dir, lab.runs_dir)] == [index]
    index.touch()
    assert leftovers(lab.cache_dir, lab.runs_dir) == []
