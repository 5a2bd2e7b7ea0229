import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import image_folder, make_cache, png
from fakes import FakeBackbone
from numpy.typing import NDArray

from embedcache.datasets.source import open_source
from embedcache.errors import InputRejectedError
from embedcache.extraction.loading import Loader, default_workers
from embedcache.extraction.records import Timings
from embedcache.records.rejects import Reject, RejectReason
from embedcache.storage.digests import sha256
from embedcache.store.lookup import RowLookup


def _loader(photos: Path, **changes: Any) -> Loader:
    settings: dict[str, Any] = {
        "manifest": open_source(photos),
        "lookup": RowLookup(),
        "prepare": FakeBackbone().prepare,
        "decoder": "decoder 1",
        "content_rejects": {},
        "workers": 3,
        "window": 5,
        "timings": Timings(),
    }
    return Loader(**(settings | changes))


def test_samples_come_in_the_order_asked_for(tmp_path: Path) -> None:
    """However long each takes, the first asked for is the first given."""
    photos = image_folder(tmp_path / "photos")
    backbone = FakeBackbone()

    def slow(data: bytes) -> NDArray[np.uint8]:
        time.sleep(0.02 if data[-20] % 2 else 0)
        return backbone.prepare(data)

    loader = _loader(photos, prepare=slow)
    order = [7, 0, 11, 3, 3, 5]
    loaded = list(loader.stream(order))
    assert [sample.row for sample in loaded] == order
    for sample in loaded:
        data = Path(loader.manifest.path(sample.row).decode()).read_bytes()
        assert sample.digest == sha256(data)
        np.testing.assert_array_equal(sample.prepared, backbone.prepare(data))


def test_no_more_is_read_ahead_than_the_window(tmp_path: Path) -> None:
    """However many samples there are, memory holds a window of them."""
    photos = image_folder(tmp_path / "photos", 1, 60)
    lock = threading.Lock()
    prepared = given = most = 0

    def count(_: bytes) -> NDArray[np.uint8]:
        nonlocal prepared, most
        with lock:
            prepared += 1
            most = max(most, prepared - given)
        return np.zeros((8, 8, 3), np.uint8)

    loader = _loader(photos, prepare=count, window=6)
    for _ in loader.stream(range(60)):
        time.sleep(0.001)
        with lock:
            given += 1
    assert prepared == 60
    assert most <= 6 + 1 + 1  # the window, the one in hand, and the one that was just asked for


def test_a_closed_stream_stops_reading(tmp_path: Path) -> None:
    """Whoever stops half way leaves no thread behind."""
    photos = image_folder(tmp_path / "photos", 1, 40)
    backbone = FakeBackbone()
    stream = _loader(photos, prepare=backbone.prepare).stream(range(40))
    next(stream)
    stream.close()
    assert backbone.prepared <= 10
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("load")]


def test_cached_bytes_are_not_decoded(tmp_path: Path) -> None:
    """A digest that is known is enough."""
    photos = image_folder(tmp_path / "photos")
    cache = make_cache(tmp_path / "c.h5", count=12)
    loader = _loader(photos)
    cache.sha256[3] = np.frombuffer(
        sha256(Path(loader.manifest.path(4).decode()).read_bytes()), np.uint8
    )
    loader.lookup.add(cache)
    prepared = [sample.prepared is not None for sample in loader.stream(range(12))]
    assert prepared == [row != 4 for row in range(12)]


def test_known_rejects_are_not_decoded(tmp_path: Path) -> None:
    """The old reason is given under the name of today."""
    photos = image_folder(tmp_path / "photos", 1, 1)
    digest = sha256((photos / "class0" / "000.png").read_bytes())
    old = Reject(b"old name", digest, RejectReason.CORRUPT, "words", "decoder 1")
    backbone = FakeBackbone()
    loader = _loader(photos, prepare=backbone.prepare, content_rejects={digest: old})
    (sample,) = loader.stream([0])
    assert sample.reject == Reject(
        b"class0/000.png", digest, RejectReason.CORRUPT, "words", "decoder 1"
    )
    assert backbone.prepared == 0


def test_each_failure_is_told_by_its_stage(tmp_path: Path) -> None:
    """Without bytes there is no digest; with bytes there is one even if decoding fails."""
    photos = image_folder(tmp_path / "photos", 1, 3)

    def refuse(data: bytes) -> NDArray[np.uint8]:
        raise InputRejectedError("CORRUPT", "no good")

    loader = _loader(photos, prepare=refuse)
    (photos / "class0" / "001.png").unlink()
    (photos / "class0" / "002.png").unlink()
    (photos / "class0" / "002.png").mkdir()
    corrupt, missing, folder = loader.stream(range(3))
    assert corrupt.digest == sha256(png(0))
    reasons = [sample.reject.reason for sample in (corrupt, missing, folder) if sample.reject]
    assert reasons == [RejectReason.CORRUPT, RejectReason.MISSING, RejectReason.NOT_A_REGULAR_FILE]
    assert missing.digest == folder.digest == bytes(32)
    assert missing.stat is None


def test_a_mistake_in_the_code_is_not_a_reject(tmp_path: Path) -> None:
    """Only what a decoder says of the bytes is a reason to leave an image out."""

    def broken(data: bytes) -> NDArray[np.uint8]:
        raise ZeroDivisionError

    loader = _loader(image_folder(tmp_path / "photos", 1, 3), prepare=broken)
    with pytest.raises(ZeroDivisionError):
        list(loader.stream(range(3)))


def test_times_add_up_over_threads(tmp_path: Path) -> None:
    """Reading and decoding are both measured."""
    loader = _loader(image_folder(tmp_path / "photos"))
    list(loader.stream(range(12)))
    assert loader.timings.read > 0
    assert loader.timings.decode > 0


def test_there_is_a_worker() -> None:
    """At least one thread reads."""
    assert default_workers() >= 1
