"""Run folders: names, races, atomic appearance, finding."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcache.errors import StorageError, UsageError
from embedcache.runs.folder import (
    HEAD,
    find_run,
    list_runs,
    new_run_name,
    publish_run,
    runs_root,
)


def write(folder: Path) -> None:
    (folder / HEAD).write_text("{}")


def publish(root: Path) -> Path:
    return publish_run(root, "flowers-1234", "timm-resnet18", "logreg", write)


def test_the_option_beats_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Option, then environment, then `./runs`; always absolute."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EMBEDCACHE_RUNS_DIR", raising=False)
    assert runs_root(None) == tmp_path / "runs"
    monkeypatch.setenv("EMBEDCACHE_RUNS_DIR", "elsewhere")
    assert runs_root(None) == tmp_path / "elsewhere"
    assert runs_root(Path("mine")) == tmp_path / "mine"
    monkeypatch.setenv("EMBEDCACHE_RUNS_DIR", "")
    assert runs_root(None) == tmp_path / "runs"


def test_runs_are_numbered_from_the_highest(tmp_path: Path) -> None:
    """Numbers go up, and a deleted run in the middle is not replaced."""
    assert [publish(tmp_path).name[-2:] for _ in range(3)] == ["-1", "-2", "-3"]
    for name in ("flowers-1234-timm-resnet18-logreg-2",):
        (tmp_path / name / HEAD).unlink()
        (tmp_path / name).rmdir()
    assert publish(tmp_path).name == "flowers-1234-timm-resnet18-logreg-4"
    assert new_run_name(tmp_path, "flowers", "timm-resnet18", "logreg").endswith("logreg-1")


@given(st.text(max_size=300))
def test_names_are_safe(part: str) -> None:
    """Whatever the data set is called, the run's name is one short visible path component."""
    name = new_run_name(Path("nowhere"), part, part, "logreg")
    assert name == Path(name).name
    assert name.isascii()
    assert name.isprintable()
    assert not name.startswith((".", "-"))
    assert len(name) < 200
    assert " " not in name


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """An error while the run is written leaves no folder behind."""

    def fail(folder: Path) -> None:
        write(folder)
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        publish_run(tmp_path, "a", "b", "c", fail)
    assert os.listdir(tmp_path) == []


def test_a_run_appears_whole(tmp_path: Path) -> None:
    """While it is written nothing is listed and no name is taken."""

    def look(folder: Path) -> None:
        write(folder)
        assert list_runs(tmp_path) == []
        assert new_run_name(tmp_path, "a", "b", "c") == "a-b-c-1"

    assert publish_run(tmp_path, "a", "b", "c", look) == tmp_path / "a-b-c-1"
    assert list_runs(tmp_path) == [tmp_path / "a-b-c-1"]


def test_who_loses_a_race_takes_the_next_number(tmp_path: Path) -> None:
    """Sixteen runs published at once get sixteen names and lose no file."""
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: publish(tmp_path), range(16)))
    assert len(set(made)) == 16
    assert sorted(made) == sorted(list_runs(tmp_path))
    assert sorted(os.listdir(tmp_path)) == sorted(path.name for path in made)


def test_a_name_taken_in_the_last_moment_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder or file that appears between choosing and renaming is never replaced."""
    names = iter(["taken", "file", "free"])
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "theirs").write_text("x")
    (tmp_path / "file").write_text("x")
    monkeypatch.setattr("embedcache.runs.folder.new_run_name", lambda *_: next(names))
    assert publish(tmp_path) == tmp_path / "free"
    assert os.listdir(tmp_path / "taken") == ["theirs"]
    assert (tmp_path / "file").read_text() == "x"


def test_a_root_that_is_a_file_is_a_storage_error(tmp_path: Path) -> None:
    """The path is named."""
    (tmp_path / "runs").write_text("x")
    with pytest.raises(StorageError) as caught:
        publish(tmp_path / "runs")
    assert str(tmp_path / "runs") in str(caught.value)


def test_runs_are_found_by_name_and_by_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name under the root, a relative path and an absolute path are one run."""
    run = publish(tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    for name in (run.name, str(run), f"runs/{run.name}"):
        assert find_run(name, tmp_path / "runs") == run


def test_the_nearest_names_are_listed(tmp_path: Path) -> None:
    """A typing error is answered with what was meant."""
    run = publish(tmp_path)
    with pytest.raises(UsageError) as caught:
        find_run("flowers-1234-timm-resnet81-logreg-1", tmp_path)
    assert run.name in str(caught.value)
    with pytest.raises(UsageError, match="no run") as caught:
        find_run("x", tmp_path / "nowhere")
    assert "no runs at all" in str(caught.value)


def test_other_runs_are_counted_in_words(tmp_path: Path) -> None:
    """One of them is a run."""
    for number, words in ((1, "1 other run"), (2, "2 other runs")):
        folder = tmp_path / f"run-{number}"
        folder.mkdir()
        (folder / HEAD).touch()
        with pytest.raises(UsageError) as error:
            find_run("none", tmp_path)
        assert error.value.got == words


def test_a_file_is_no_run(tmp_path: Path) -> None:
    """A cache in the place of a run is told so."""
    (tmp_path / "c.h5").touch()
    with pytest.raises(UsageError, match="a file where a run is expected"):
        find_run(str(tmp_path / "c.h5"), tmp_path)
