"""A real disk that is full: an error with a message, and the same command once there is room."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import Bench
from builders import image_folder

from embedcache.errors import StorageError

_SMALL, _LARGE = "size=1000k", "size=20m"
"""Room for the first three jobs of eight, and for everything."""


def _system(command: str, *arguments: object) -> bool:
    """Whether the system's command did it."""
    path = shutil.which(command)
    if path is None:
        return False
    done = subprocess.run([path, *map(str, arguments)], capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory with little room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if not _system("mount", "-t", "tmpfs", "-o", _SMALL, "tmpfs", disk):
        pytest.skip("mounting a file system needs root")
    yield disk
    assert _system("umount", "--lazy", disk), "lazily, as caches are still mapped"


@pytest.mark.usefixtures("small_jobs", "fixed_date")
def test_a_full_disk_is_an_error_and_no_loss(tmp_path: Path, small_disk: Path) -> None:
    """Exit code 5; what was published stays; with room the run ends as on any other disk."""
    photos = image_folder(tmp_path / "photos", 3, 20)
    elsewhere = Bench(photos, tmp_path / "elsewhere")
    elsewhere.extract()
    (whole,) = elsewhere.published()
    bench = Bench(photos, small_disk / "cache")
    with pytest.raises(StorageError) as caught:
        bench.extract()
    assert caught.value.exit_code == 5
    assert "free" in str(caught.value)
    assert "needed" in str(caught.value)
    assert bench.published() == []
    assert _system("mount", "-o", f"remount,{_LARGE}", small_disk)
    bench.extract()
    assert 0 < bench.backbone.passes < 60, "finished jobs were kept"
    (cache,) = bench.published()
    assert cache.read_bytes() == whole.read_bytes()
