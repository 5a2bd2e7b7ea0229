import errno
import gc
import os
import threading
import weakref
from pathlib import Path
from typing import Any

import children
import numpy as np
import pytest
from bench import Bench, add_photos
from builders import image_folder
from fakes import FakeBackbone
from numpy.typing import NDArray

from embedcache.errors import OutOfMemoryError
from embedcache.store.cache import FeatureCache

_LIMITED = """
    import resource, sys
    from pathlib import Path
    from bench import Bench
    from embedcache.errors import StorageError
    bench = Bench(Path(sys.argv[1]), Path(sys.argv[2]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
    try:
        bench.extract()
    except StorageError as error:
        print(error)
        sys.exit(error.exit_code)
"""

_WITHOUT_RIGHTS = """
    import sys
    from pathlib import Path
    import children
    from bench import Bench
    from embedcache.errors import StorageError
    from embedcache.store.cache import FeatureCache
    Bench(Path(sys.argv[3]), Path(sys.argv[4])).extract()  # imports all that it takes
    bench = Bench(Path(sys.argv[1]), Path(sys.argv[2]))
    children.give_up_rights()
    for cache in bench.published():
        print("rows:", FeatureCache(cache).X.shape)
    try:
        result = bench.extract()
        print("reasons:", dict(result.reasons))
    except StorageError as error:
        print(error.exit_code, bench.backbone.passes, bench.backbone.prepared)
"""


class _Watched(FakeBackbone):
    """Counts the prepared images that are alive."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.alive = self.most = 0
        self._lock = threading.Lock()

    def _count(self, change: int) -> None:
        with self._lock:
            self.alive += change
            self.most = max(self.most, self.alive)

    def prepare(self, data: bytes) -> NDArray[np.uint8]:
        image = super().prepare(data).copy()
        self._count(1)
        weakref.finalize(image, self._count, -1)
        return image


@pytest.mark.parametrize("count", [60, 240])
def test_memory_does_not_grow_with_the_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """However many pictures there are, only a window and a batch of them are alive."""
    monkeypatch.setattr("embedcache.extraction.extract._DEFAULT_BATCH", 4)
    photos = image_folder(tmp_path / "photos", 1, count)
    backbone = _Watched()
    Bench(photos, tmp_path / "cache").extract(backbone=backbone)
    gc.collect()
    window, batch, in_hand = 2 * 4 + 2 * 2, 4, 2
    assert 4 <= backbone.most <= window + batch + in_hand
    assert backbone.alive == 0


def test_a_batch_that_shrinks_is_recorded_with_its_rows(bench: Bench) -> None:
    """When memory runs out, later rows say what batch size they were computed with."""
    backbone = FakeBackbone()

    def shrink(batches: int) -> None:
        if batches == 2:
            backbone.numerics = backbone.with_numerics(batch_size=2).numerics

    backbone.before_batch = shrink
    cache = FeatureCache(bench.extract(backbone=backbone).cache)
    assert [entry.batch_size for entry in cache.meta.numerics] == [4, 2]
    assert sorted(set(cache.tables.numerics.tolist())) == [0, 1]


def test_running_out_of_memory_for_good_keeps_finished_jobs(bench: Bench, small_jobs: None) -> None:
    """If not even one image fits, that is the error, and what was done is kept."""

    def exhaust(batches: int) -> None:
        if batches == 2:
            raise OutOfMemoryError("the device cannot hold even a batch of one")

    with pytest.raises(OutOfMemoryError):
        bench.extract(backbone=FakeBackbone(before_batch=exhaust))
    assert bench.extract().embedded == 4


@pytest.mark.parametrize("limit", [1000, 200_000])
def test_a_file_size_limit_ends_with_a_message(bench: Bench, limit: int) -> None:
    """No signal: exit 5, the file and its needs are named, and with room it completes."""
    done = children.run(_LIMITED, bench.photos, bench.root, limit)
    assert done.returncode == 5, done.stderr
    assert str(bench.root) in done.stdout
    assert "needed" in done.stdout
    assert "free" in done.stdout
    assert not list(bench.root.rglob("*.tmp-*"))
    assert bench.extract().rows == 12


def test_a_read_only_cache_is_read_and_not_written(open_dir: Path, tmp_path: Path) -> None:
    """Without permission to write, reading works, and extraction stops before any decoding."""
    bench = Bench(image_folder(open_dir / "photos"), open_dir / "cache")
    bench.extract()
    add_photos(bench.photos / "class0", 1)
    for folder in (bench.root, *bench.root.iterdir()):
        folder.chmod(0o555)
    other = image_folder(tmp_path / "other")
    out = children.output(_WITHOUT_RIGHTS, bench.photos, bench.root, other, tmp_path / "cache")
    assert out == "rows: (12, 6)\n5 0 0\n"


def test_a_forbidden_image_is_a_reject(open_dir: Path, tmp_path: Path) -> None:
    """What may not be read is a reject of the environment, and is embedded once it may."""
    bench = Bench(image_folder(open_dir / "photos"), open_dir / "cache")
    bench.root.mkdir()
    bench.root.chmod(0o777)
    (bench.photos / "class0" / "000.png").chmod(0)
    other = image_folder(tmp_path / "other")
    out = children.output(_WITHOUT_RIGHTS, bench.photos, bench.root, other, tmp_path / "cache")
    assert out == "reasons: {'permission': 1}\n"
    (bench.photos / "class0" / "000.png").chmod(0o644)
    assert bench.extract().embedded == 1


def test_an_error_of_the_code_is_not_taken_for_one_of_the_disk(bench: Bench) -> None:
    """What the backbone raises comes through as it is."""

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(OSError, match="Input/output error"):
        bench.extract(backbone=FakeBackbone(before_batch=fail))
