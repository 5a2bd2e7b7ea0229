"""An extraction that is not alone: readers beside it, and a second one where locks do not work."""

import errno
import fcntl
import hashlib
import os
import threading
from pathlib import Path
from typing import NoReturn

import children
import numpy as np
import pytest
from bench import Bench, add_photos
from builders import image_folder
from fakes import FakeBackbone

from embedcache.store.cache import FeatureCache

_READERS = 8


@pytest.mark.usefixtures("small_jobs")
def test_eight_readers_see_the_old_file_or_the_new(tmp_path: Path) -> None:
    """Its digest stays until the rename; what is open then stays what it was."""
    bench = Bench(image_folder(tmp_path / "photos"), tmp_path / "cache")
    path = bench.extract().cache
    snapshot = FeatureCache(path)
    old, before = snapshot.X.copy(), hashlib.sha256(path.read_bytes()).digest()
    add_photos(bench.photos / "class0", 20)
    done, seen, problems = threading.Event(), set(), []

    def read() -> None:
        try:
            while not done.is_set():
                cache = FeatureCache(path)
                seen.add((cache.content_digest, hashlib.sha256(cache.X.tobytes()).digest()))
        except BaseException as error:  # noqa: BLE001  # told by the thread that asserts
            problems.append(error)

    def unchanged(_: int) -> None:
        assert hashlib.sha256(path.read_bytes()).digest() == before

    readers = [threading.Thread(target=read) for _ in range(_READERS)]
    for reader in readers:
        reader.start()
    try:
        bench.extract(backbone=FakeBackbone(before_batch=unchanged))
        while len(seen) < 2 and not problems and any(each.is_alive() for each in readers):
            pass  # until somebody has opened the new file
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert not problems
    new = FeatureCache(path)
    assert seen == {
        (cache.content_digest, hashlib.sha256(rows.tobytes()).digest())
        for cache, rows in ((snapshot, old), (new, new.X))
    }
    np.testing.assert_array_equal(snapshot.X, old)


def _no_locks(*_: object) -> NoReturn:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


@pytest.mark.usefixtures("small_jobs", "fixed_date")
@pytest.mark.parametrize("batch", [0, 1, 7])
def test_another_may_finish_in_the_midst(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """Without locks another run may publish and clean up between any two batches of this one."""
    photos = image_folder(tmp_path / "photos", 3, 10)
    whole = Bench(photos, tmp_path / "whole").extract().cache.read_bytes()
    monkeypatch.setattr(fcntl, "flock", _no_locks)
    bench, other = Bench(photos, tmp_path / "cache"), Bench(photos, tmp_path / "cache")

    def meanwhile(number: int) -> None:
        if number == batch:
            other.extract()

    bench.extract(backbone=FakeBackbone(before_batch=meanwhile))
    assert [path.read_bytes() for path in bench.published()] == [whole]
    assert bench.works() == []


_AT_ONCE = """
    import errno, fcntl, os, sys, time
    from pathlib import Path

    def no_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    fcntl.flock = no_locks
    from fakes import FakeBackbone
    from embedcache.extraction import plan
    from embedcache.workflows.extract import extract_source

    plan._LEAST_ROWS = 8
    photos, root, gate = map(Path, sys.argv[1:])
    print("ready", flush=True)
    while not gate.exists():
        time.sleep(0.001)
    extract_source(
        photos, FakeBackbone(before_batch=lambda _: time.sleep(0.01)), cache_dir=root, num_workers=2
    )
"""


@pytest.mark.usefixtures("fixed_date")
def test_two_processes_without_locks_lose_nothing(tmp_path: Path) -> None:
    """Both do all of the work, end well, and the cache is as of one alone."""
    photos = image_folder(tmp_path / "photos", 3, 20)
    whole = Bench(photos, tmp_path / "whole").extract().cache.read_bytes()
    bench, gate = Bench(photos, tmp_path / "cache"), tmp_path / "gate"
    both = [children.start(_AT_ONCE, photos, bench.root, gate) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    gate.touch()
    ends = [(process.communicate(timeout=120)[1], process.returncode) for process in both]
    assert ends == [("", 0), ("", 0)]
    bench.extract()
    assert bench.backbone.passes == 0
    assert [path.read_bytes() for path in bench.published()] == [whole]
    assert bench.works() == []
