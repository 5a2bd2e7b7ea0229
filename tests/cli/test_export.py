"""`embedcache export` from the command line."""

from pathlib import Path

import pytest
from command import Command

from embedcache.workflows import export
from embedcache.workflows.export import ExportResult


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What was asked of the workflow, which has tests of its own."""
    calls: list[tuple[object, ...]] = []

    def fake(run: str, output: Path | None, **_: object) -> ExportResult:
        calls.append((run, output))
        return ExportResult(Path("/here/my model.onnx"), 13_649_031, 9, 1.23e-05)

    monkeypatch.setattr(export, "export_onnx", fake)
    return calls


def test_it_says_how_the_model_was_checked(cli: Command, asked: list[tuple[object, ...]]) -> None:
    """On how many images, and the largest difference."""
    done = cli.well("export", "flowers-1", "--to", "onnx", "-o", "m.onnx")
    assert done.out.splitlines() == [
        "checked on 9 images: largest difference of a probability 1e-05",
        "model (13.6 MB): '/here/my model.onnx'",
    ]
    assert asked == [("flowers-1", Path("m.onnx"))]


def test_json_is_one_object(cli: Command, asked: list[tuple[object, ...]]) -> None:
    """With the figures as they are."""
    found = cli.well("export", "flowers-1", "--json").json
    assert (found["images"], found["largest_difference"]) == (9, 1.23e-05)
    assert asked == [("flowers-1", None)]


def test_an_unknown_run_is_refused(cli: Command, tmp_path: Path) -> None:
    """As everywhere."""
    done = cli("export", "nothing", "--runs-dir", tmp_path)
    assert done.code == 2
    assert "no run called" in done.err
