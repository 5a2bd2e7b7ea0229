"""The demo's manifest: a quarter for the test from every grade, the same each time."""

import csv
import importlib.util
from collections import Counter
from pathlib import Path

import pytest
import solar

from embedcache.datasets.source import open_source
from embedcache.errors import MissingExtraError
from embedcache.workflows.demo import prepare_demo


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the package of the pictures: 20, 12, 4 and 24 of the four grades."""
    return solar.install(tmp_path / "site", (20, 12, 4, 24), monkeypatch)


def _rows(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_quarter_of_every_grade_is_for_the_test(package: Path, tmp_path: Path) -> None:
    """Grades from one half on are called defective."""
    rows = _rows(prepare_demo(tmp_path / "cache"))
    assert [row["path"] for row in rows] == [f"elpv/images/cell{i:04d}.png" for i in range(60)]
    by_grade = [rows[:20], rows[20:32], rows[32:36], rows[36:]]
    tests = [sum(row["split"] == "test" for row in part) for part in by_grade]
    assert tests == [5, 3, 1, 6]
    assert Counter(row["label"] for row in rows) == {"functional": 32, "defective": 28}
    assert {row["label"] for row in rows[:32]} == {"functional"}


def test_the_manifest_is_the_same_each_time(package: Path, tmp_path: Path) -> None:
    """Another root gets the same bytes, and the same root is not written again."""
    first = prepare_demo(tmp_path / "cache")
    before = first.stat()
    assert prepare_demo(tmp_path / "cache") == first
    after = first.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert prepare_demo(tmp_path / "other").read_bytes() == first.read_bytes()


def test_the_manifest_needs_no_root(package: Path, tmp_path: Path) -> None:
    """A link beside it leads to the pictures, which stay where they are."""
    path = prepare_demo(tmp_path / "cache")
    manifest = open_source(path)
    assert len(manifest) == 60
    assert (path.parent / "elpv").resolve() == package
    assert "CC BY-NC-SA 4.0" in (path.parent / "LICENSE").read_text()


def test_the_link_follows_the_package(package: Path, tmp_path: Path) -> None:
    """After a new environment the old link would lead nowhere."""
    path = prepare_demo(tmp_path / "cache")
    link = path.parent / "elpv"
    link.unlink()
    link.symlink_to(tmp_path / "gone")
    assert prepare_demo(tmp_path / "cache") == path
    assert link.resolve() == package


def test_without_the_package_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next step is a pip command."""
    monkeypatch.setattr("embedcache.workflows.demo.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError) as caught:
        prepare_demo(tmp_path / "cache")
    assert caught.value.hint == "pip install 'embedcache[demo]'"


def test_the_real_pictures_are_split_as_published() -> None:
    """Of 2,624 cells 656 are for the test; 1,803 of all have a grade below one half."""
    pytest.importorskip("elpv_dataset", reason="the demo's pictures are an extra")
    from embedcache.workflows.demo import draw_manifest

    spec = importlib.util.find_spec("elpv_dataset")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    labels = Path(spec.submodule_search_locations[0]) / "data" / "labels.csv"
    rows = list(csv.DictReader(draw_manifest(labels.read_text()).decode().splitlines()))
    assert len(rows) == 2624
    assert sum(row["split"] == "test" for row in rows) == 656
    assert Counter(row["label"] for row in rows)["functional"] == 1803
