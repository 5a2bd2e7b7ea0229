"""A working folder with twelve pictures in `photos/`, which all examples share."""

from pathlib import Path

import pytest
from builders import image_folder
from command import Command
from pages import ROOT


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder; who comes second finds the features of the first."""
    folder = tmp_path_factory.mktemp("examples")
    image_folder(folder / "photos")
    (folder / "configs").symlink_to(ROOT / "configs")
    return folder


@pytest.fixture
def folder(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, as the working folder."""
    monkeypatch.chdir(shared)
    return shared


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line, in this process."""
    return Command(capsys)
