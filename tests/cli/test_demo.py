"""`embedcache demo` runs the main job twice, here on a small stand-in for the solar cells."""

from pathlib import Path

import pytest
import solar
from builders import make_cache
from command import Command

from embedcache.runs.folder import list_runs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, and 40 pictures where pip would have put 2,624."""
    solar.install(tmp_path / "site", (12, 8, 8, 12), monkeypatch)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def test_the_main_job_runs_twice_and_computes_once(cli: Command, folder: Path) -> None:
    """Also beside other data sets; at the end the score stands beside the published ones."""
    (folder / "cache" / "other").mkdir(parents=True)
    make_cache(folder / "cache" / "other" / "x-0123456789ab.h5")
    out = cli.well("demo").out
    assert "40 rows: 40 embedded, 0 reused" in out
    assert "40 rows: 0 embedded, 40 reused" in out
    assert out.count("\naccuracy ") == 2
    assert "published: fine-tuned CNN" in out
    assert len(list_runs(folder / "runs")) == 2
    *last, next_command = out.splitlines()[-4:]
    assert [line.partition(":")[0] for line in last] == ["manifest", "cache", "run"]
    assert all(Path(line.partition(":")[2].strip()).exists() for line in last)
    assert next_command == f"next:     embedcache run {folder / 'cache' / 'demo' / 'elpv.csv'}"


def test_prepare_only_writes_the_manifest(cli: Command, folder: Path) -> None:
    """For recipes; nothing is embedded."""
    manifest = folder / "cache" / "demo" / "elpv.csv"
    assert cli.well("demo", "--prepare").out == f"manifest: {manifest}\n"
    assert manifest.exists()
    assert list((folder / "cache").glob("*/*.h5")) == []


def test_without_the_pictures_the_extra_is_named(
    cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2 and a pip command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("embedcache.workflows.demo.find_spec", lambda _: None)
    done = cli("demo")
    assert done.code == 2
    assert "next:     pip install 'embedcache[demo]'" in done.err
