"""Months of use: many update cycles, many rows, and what they leave behind."""

from pathlib import Path

import children
import pytest
from bench import Bench
from builders import image_folder, png
from soak import names, soak


def _cycles(bench: Bench, numbers: range) -> None:
    """In each cycle an image is edited, one is added and one goes."""
    for number in numbers:
        images = sorted(bench.photos.rglob("*.png"))
        images[number % len(images)].write_bytes(png(1000 + number))
        (bench.photos / "class0" / f"new {number}.png").write_bytes(png(5000 + number))
        images[(7 * number + 1) % len(images)].unlink()
        bench.extract(prune=True)


def _soak(tmp_path: Path, cycles: int) -> int:
    """Update a cache so often, and as often again; gives the bytes that memory grew by."""
    bench = Bench(image_folder(tmp_path / "photos", 2, 20), tmp_path / "cache")
    bench.extract()
    return soak(lambda numbers: _cycles(bench, numbers), cycles, lambda: names(bench.root))


def test_update_cycles_leave_nothing_behind(tmp_path: Path) -> None:
    """No stray file, no open handle, no thread after ten rounds of editing and extracting."""
    _soak(tmp_path, 5)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_memory_does_not_grow_over_hundreds_of_cycles(tmp_path: Path) -> None:
    """Four hundred rounds: less than 8 MB more at the end than in the middle."""
    assert _soak(tmp_path, 200) < 8e6


_MANY = """
    import sys, threading, time
    from pathlib import Path

    import numpy as np
    from fakes import FakeBackbone

    from embedcache.extraction import loading
    from embedcache.extraction.extract import extract
    from embedcache.extraction.records import ExtractOptions
    from embedcache.records.manifest import Manifest, SourceRecord
    from embedcache.records.strings import Strings
    from embedcache.store.cache import FeatureCache

    peak = 0

    def watch():
        global peak
        while True:
            status = Path("/proc/self/status").read_text()
            peak = max(peak, int(status.partition("RssAnon:")[2].split()[0]) * 1024)
            time.sleep(0.02)

    class Counting(FakeBackbone):
        def prepare(self, data):
            if not data.startswith(b"number "):
                return super().prepare(data)
            number = int(data.split()[1])
            return np.frombuffer(number.to_bytes(8, "little") * 24, np.uint8).reshape(8, 8, 3)

        def submit(self, batch):
            done = super().submit(batch)
            self.images.clear()
            return done

    loading.read_regular = lambda path: b"number " + path.rsplit(b"/", 1)[1]
    threading.Thread(target=watch, daemon=True).start()
    count = int(sys.argv[2])
    none = np.full(count, -1, np.int32)
    ids = Strings(
        np.char.mod("%07d", np.arange(count)).astype("S7").view(np.uint8),
        np.arange(count + 1, dtype=np.int64) * 7,
    )
    manifest = Manifest(
        source=SourceRecord("table", "/nowhere/many.csv"),
        root="/nowhere",
        ids=ids,
        labels=none,
        classes=Strings.of([]),
        split=np.zeros(count, np.uint8),
        group=none,
        groups=Strings.of([]),
    )
    result = extract(
        manifest, "many", Counting(), ExtractOptions(cache_dir=Path(sys.argv[1]), batch_size=256)
    )
    cache = FeatureCache(result.cache)
    assert len(cache) == result.embedded == count
    rows = np.random.default_rng(0).integers(0, count, 1000)
    for row in rows:
        number = int(cache.ids.text(int(row)).rsplit("/")[-1])
        expected = Counting().submit(Counting().prepare(b"number %d" % number)[None]).result()[0]
        assert (cache.rows(np.array([row]))[0] == expected.astype(np.float16)).all()
    print(peak)
"""


def _peak_of(tmp_path: Path, count: int) -> int:
    """Bytes of the process's own at the peak: pages of files that are mapped are not among them."""
    return int(children.output(_MANY, tmp_path / str(count), count, timeout=1500))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_million_rows_fit_into_little_memory(tmp_path: Path) -> None:
    """Each of 950,000 more rows costs less than 400 bytes at the peak: its entries in tables.

    The features alone, of 2,560 bytes a row with a common backbone, are never all in memory.
    """
    small, large = _peak_of(tmp_path, 50_000), _peak_of(tmp_path, 1_000_000)
    assert large - small < 950_000 * 400
