"""Make the test helpers importable by name from every folder of tests; fixtures of several."""

import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from command import Command  # found only now

# Shells start what runs in the background with SIGINT ignored, and children inherit that: the
# tests that interrupt their children would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command line, in this process, 80 columns wide."""
    monkeypatch.setenv("COLUMNS", "80")
    return Command(capsys)


@pytest.fixture
def small_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs of eight images, two batches of the fake backbone's four."""
    monkeypatch.setattr("embedcache.extraction.plan._LEAST_ROWS", 8)


@pytest.fixture
def fixed_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of equal content are equal byte by byte."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
