"""What a fit leaves in its run folder, from a cache with pictures."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import builders
import numpy as np
import pytest
import torch

from embedcache.errors import UsageError
from embedcache.heads.solver.parallel import Workers
from embedcache.records.strings import Strings
from embedcache.store.cache import FeatureCache
from embedcache.store.writer import write_cache
from embedcache.workflows.compare import compare
from embedcache.workflows.fit import fit_head

COUNT = 60


def _cache(folder: Path, split: np.ndarray | None = None) -> FeatureCache:
    """60 pictures of three classes; the last ten are nearly the first ten, under other bytes."""
    images = builders.image_folder(folder / "images", per_class=20)
    names = sorted(str(path.relative_to(images)) for path in images.rglob("*.png"))
    rng = np.random.default_rng(0)
    labels = (np.arange(COUNT) % 3).astype(np.int32)
    features = 2 * np.eye(16)[labels] + rng.normal(size=(COUNT, 16))
    for copy in range(50, 60):
        labels[copy] = labels[copy - 50]
        features[copy] = features[copy - 50] + 0.001
        data = (images / names[copy - 50]).read_bytes()
        (images / names[copy]).write_bytes(data + b"\0")  # after the end of a PNG
    digests = [hashlib.sha256((images / name).read_bytes()).digest() for name in names]
    tables = replace(
        builders.tables(COUNT, rejects=2),
        ids=Strings.of(names),
        sha256=np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32),
        labels=labels,
        split=np.zeros(COUNT, np.uint8) if split is None else split,
        group=np.full(COUNT, -1, np.int32),
        groups=Strings.of([]),
        seen=None,
    )
    meta = replace(builders.meta(16), root=str(images))
    path = folder / "cache" / "pets-12345678" / "fake.h5"
    path.parent.mkdir(parents=True)
    write_cache(path, tables, meta, [features.astype(np.float16)])
    return FeatureCache(path)


def test_logreg_is_fitted_where_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Choice and refit, of one label and of several; the run's configuration says where."""
    seen = []
    usual = Workers.__init__

    def noted(workers: Workers, device: torch.device) -> None:
        seen.append(str(device))
        usual(workers, device)

    monkeypatch.setattr(Workers, "__init__", noted)
    monkeypatch.setattr("embedcache.heads.models.logreg._SMALL", 0)
    cache, runs = _cache(tmp_path), tmp_path / "runs"
    elsewhere = fit_head(cache, values=(0.1,), device="cpu:0", runs_dir=runs)
    assert set(seen) == {"cpu:0"}
    assert json.loads((elsewhere.path / "config.json").read_text())["fit"]["device"] == "cpu:0"
    seen.clear()
    usually = fit_head(cache, values=(0.1,), runs_dir=runs)
    assert set(seen) == {"cpu"}
    assert np.array_equal(elsewhere.head.form.weights, usually.head.form.weights)
    seen.clear()
    several = tmp_path / "several.csv"
    marks = ("warm", "cold", "warm|wet", "cold|wet")
    named = "".join(f"{name},{marks[at % 4]}\n" for at, name in enumerate(cache.tables.ids.texts()))
    several.write_text(f"id,label\n{named}")
    fit_head(
        cache, values=(0.1,), labels=several, label_separator="|", device="cpu:0", runs_dir=runs
    )
    assert set(seen) == {"cpu:0"}


def test_the_page_shows_pictures_and_how_to_repeat_it(tmp_path: Path) -> None:
    """Thumbnails, rejects and both commands; without the files the page still stands."""
    cache = _cache(tmp_path)
    run = fit_head(cache, model="ncm", runs_dir=tmp_path / "runs")
    page = (run.path / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") > 2
    assert "embedcache extract /nowhere" in page
    assert f"embedcache fit-head {cache.path} --model ncm --metric log_loss --seed 0" in page
    assert "bad0.png" in page
    shutil.rmtree(tmp_path / "images")
    page = (
        fit_head(cache, model="ncm", runs_dir=tmp_path / "runs").path / "report.html"
    ).read_text()
    assert "data:image/jpeg;base64," not in page
    assert "no picture" in page


def test_near_duplicates_are_reported_and_kept_together(tmp_path: Path) -> None:
    """Pictures under other bytes are found across folds, and on request are in one."""
    cache = _cache(tmp_path)
    apart = fit_head(cache, model="ncm", runs_dir=tmp_path / "runs").report.near_duplicates
    assert apart is not None
    assert 3 <= apart.count <= 10
    assert not apart.together
    for pair in apart.pairs:
        assert pair.cosine > 0.98
        assert pair.difference == 0
    run = fit_head(cache, model="ncm", keep_duplicates_together=True, runs_dir=tmp_path / "runs")
    kept = run.report.near_duplicates
    assert kept is not None
    assert kept.count == 0
    assert kept.together
    stored = json.loads((run.path / "report.json").read_bytes())
    assert stored["near_duplicates"]["count"] == 0
    assert "--keep-duplicates-together" in (run.path / "report.html").read_text()


def test_a_given_split_keeps_its_sides(tmp_path: Path) -> None:
    """Near duplicates are reported, and moved by nobody but the source."""
    split = np.where(np.arange(COUNT) < 40, 1, 3).astype(np.uint8)
    cache = _cache(tmp_path, split)
    found = fit_head(cache, model="ncm", runs_dir=tmp_path / "runs").report.near_duplicates
    assert found is not None
    assert found.count == 10
    with pytest.raises(UsageError, match="own split"):
        fit_head(cache, model="ncm", keep_duplicates_together=True, runs_dir=tmp_path / "runs")


def test_runs_are_compared_by_name(tmp_path: Path) -> None:
    """Two heads on one cache, ranked on all of its rows."""
    cache = _cache(tmp_path)
    names = [
        fit_head(cache, model=model, runs_dir=tmp_path / "runs").path.name
        for model in ("ncm", "ridge")
    ]
    found = compare(names, runs_dir=tmp_path / "runs")
    assert found.rows == COUNT
    assert {run.run for run in found.runs} == set(names)
    assert len(found.pairs) == 1


def test_test_openings_are_counted(tmp_path: Path) -> None:
    """The second head on the same test rows knows that it is the second."""
    split = np.where(np.arange(COUNT) < 40, 1, 3).astype(np.uint8)
    cache = _cache(tmp_path, split)
    first = fit_head(cache, model="ncm", runs_dir=tmp_path / "runs")
    second = fit_head(cache, model="ridge", runs_dir=tmp_path / "runs")
    assert first.report.split.test_openings == 1
    assert second.report.split.test_openings == 2
    assert "Head number 2" in (second.path / "report.html").read_text()
    other = fit_head(cache, model="ridge", runs_dir=tmp_path / "others")
    assert other.report.split.test_openings == 1


def test_a_head_and_its_few_shot_curve_are_one_opening(tmp_path: Path) -> None:
    """However many points it has: the next head is the second; page and ledger name the curve."""
    split = np.where(np.arange(COUNT) < 40, 1, 3).astype(np.uint8)
    cache = _cache(tmp_path, split)
    run = fit_head(cache, model="ncm", shots=(1, 5), seeds=2, runs_dir=tmp_path / "runs")
    assert run.report.split.test_openings == 1
    second = fit_head(cache, model="ridge", runs_dir=tmp_path / "runs")
    assert second.report.split.test_openings == 2
    (openings,) = json.loads((tmp_path / "runs" / "ledger.json").read_text())["openings"].values()
    assert [each.endswith("and its few-shot curve") for each in openings] == [True, False]
    page = (run.path / "report.html").read_text()
    assert "With few labels" in page
    assert "--shots 1,5 --seeds 2" in page


def test_a_cross_validation_opens_nothing(tmp_path: Path) -> None:
    """It has no test rows."""
    run = fit_head(_cache(tmp_path), model="ncm", runs_dir=tmp_path / "runs")
    assert run.report.split.test_openings == 0
    assert not (tmp_path / "runs" / "ledger.json").exists()


def test_other_labels_are_fitted_on_the_same_cache(tmp_path: Path) -> None:
    """By id or path; images that the file does not name take no part, and the report says so."""
    cache = _cache(tmp_path)
    names = cache.ids.texts()
    file = tmp_path / "labels.csv"
    rows = [f"{name},{'odd' if i % 2 else 'even'}" for i, name in enumerate(names[:40])]
    file.write_text("\n".join(["path,label", *rows, "elsewhere.png,odd"]) + "\n")
    run = fit_head(cache, model="ncm", labels=file, runs_dir=tmp_path / "runs")
    assert run.head.classes == ("even", "odd")
    assert run.report.rows.unlabelled == 20
    (note,) = [note for note in run.report.notes if note.startswith("labels from")]
    assert "40 of 60 rows; 1 of its images are not in the cache" in note
    assert f"--labels {file}" in (run.path / "report.html").read_text()
    file.write_text("path,label\nelsewhere.png,odd\n")
    with pytest.raises(UsageError, match="none of the cached images"):
        fit_head(cache, model="ncm", labels=file, runs_dir=tmp_path / "runs")
