"""SIGKILL at any moment, then the same command: bit-equal to a run that nobody killed."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import builders
import children
import numpy as np
import pytest

_SCRIPT = Path(children.__file__).with_name("slow_extract.py")
_ENVIRONMENT = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
_PER_BATCH = 0.004
_RUN_SECONDS = 0.9
"""About what a whole run takes once Python has started."""


def _photos(folder: Path) -> Path:
    """Sixty pictures of which some are bad and some alike."""
    builders.image_folder(folder, 3, 20)
    for index in range(4):
        (folder / "class1" / f"{5 * index:03d}.png").write_bytes(b"bad %d" % index)
        shutil.copy(folder / "class0" / f"{index:03d}.png", folder / "class2" / f"0{index}9.png")
    return folder


def _start(photos: Path, root: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(_SCRIPT), str(photos), str(root), str(_PER_BATCH)]
    return subprocess.Popen(command, env=_ENVIRONMENT, stdout=subprocess.PIPE)


def _run(photos: Path, root: Path) -> bytes:
    """Extract to the end, and read the cache."""
    with _start(photos, root) as process:
        assert process.wait(timeout=60) == 0
    (cache,) = root.glob("*/*.h5")
    return cache.read_bytes()


def _kill_after(photos: Path, root: Path, seconds: float) -> None:
    """Extract, and kill the process so many seconds after it began in earnest."""
    with _start(photos, root) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _photos(tmp_path_factory.mktemp("data") / "photos")


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file that an undisturbed run writes."""
    return _run(photos, tmp_path_factory.mktemp("whole"))


def _survive(photos: Path, whole: bytes, root: Path, moments: list[float]) -> None:
    """A kill at each of the moments, then a run to the end."""
    for seconds in moments:
        _kill_after(photos, root, seconds)
        for cache in root.glob("*/*.h5"):
            assert cache.read_bytes() == whole, "what is visible is whole"
    assert _run(photos, root) == whole


@pytest.mark.parametrize("sixth", range(6))
def test_a_killed_run_is_completed(photos: Path, whole: bytes, tmp_path: Path, sixth: int) -> None:
    """No manual repair, nothing lost, nothing different, in whichever part of the run it was."""
    moment = _RUN_SECONDS * (sixth + np.random.default_rng(sixth).random()) / 6
    _survive(photos, whole, tmp_path, [moment])


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_hundred_killed_runs_are_completed(photos: Path, whole: bytes, tmp_path: Path) -> None:
    """As above, two hundred times, with up to three kills in a row."""
    rng = np.random.default_rng(2)
    for number in range(200):
        root = tmp_path / str(number)
        moments = rng.uniform(0, _RUN_SECONDS, rng.integers(1, 4)).tolist()
        _survive(photos, whole, root, moments)
        shutil.rmtree(root)
