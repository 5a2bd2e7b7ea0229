"""A process that fits and predicts for days, and command after command: what they leave behind."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from builders import image_folder
from command import Command
from fakes import FakeBackbone
from lab import GREEN, RED, Lab, paint
from shop import SMALL, Shop
from soak import names, soak

from embedcache.runs.folder import list_runs

_QUICK = ("knn", "ridge", "ncm")
_MODELS = (*_QUICK, "logreg", "lda", "nystroem")


def _around(cache_dir: Path, runs_dir: Path) -> Callable[[], list[str]]:
    """What lies with the caches, beside the runs, and in any run."""

    def left() -> list[str]:
        runs = list_runs(runs_dir)
        beside = {path.name for path in runs_dir.iterdir()} - {run.name for run in runs}
        within = {name for run in runs for name in names(run)}
        return [*names(cache_dir), *sorted(beside), *sorted(within)]

    return left


def _fit_and_predict(lab: Lab, models: tuple[str, ...], numbers: range) -> None:
    """In each cycle a head of another model is fitted, and asked for old and new pictures."""
    for number in numbers:
        run = lab.fit(model=models[number % len(models)], seed=number)
        new = paint(lab.photos.parent / "new.png", RED, 1000 + number)
        predictor = lab.predictor(run, FakeBackbone())
        answers = list(predictor.predict([lab.photos, new]))
        assert len(answers) == 21
        assert all(np.isclose(answer.probabilities.sum(), 1) for answer in answers)
    assert len(list_runs(lab.runs_dir)) == numbers.stop


def _soak_in_one_process(folder: Path, models: tuple[str, ...], cycles: int) -> int:
    lab = Lab(folder / "photos", folder / "cache", folder / "runs")
    for seed in range(10):
        paint(lab.photos / "red" / f"{seed}.png", RED, seed)
        paint(lab.photos / "green" / f"{seed}.png", GREEN, 100 + seed)
    lab.extract()
    left = _around(lab.cache_dir, lab.runs_dir)
    return soak(lambda numbers: _fit_and_predict(lab, models, numbers), cycles, left)


def _soak_of_commands(folder: Path, cli: Command, cycles: int) -> int:
    shop = Shop(folder)
    image_folder(shop.photos)
    cli.well("extract", shop.photos, *SMALL)

    def use(numbers: range) -> None:
        for number in numbers:
            run = cli.well("fit-head", "--c", 1, "--seed", number, "--json").json["run"]
            cli.well("predict", run, shop.photos)
            cli.well("ls")
            cli.well("verify")

    return soak(use, cycles, _around(shop.cache_dir, shop.runs_dir))


def test_fits_and_predictions_leave_nothing_behind(tmp_path: Path) -> None:
    """No stray file, no open handle, no thread after six heads of three models."""
    _soak_in_one_process(tmp_path, _QUICK, len(_QUICK))


def test_commands_leave_nothing_behind(
    tmp_path: Path, cli: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor after fit, predict, ls and verify with a real backbone, twice."""
    monkeypatch.chdir(tmp_path)
    _soak_of_commands(tmp_path, cli, 1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_memory_does_not_grow_over_hundreds_of_heads(tmp_path: Path) -> None:
    """Two hundred heads of six models: less than 8 MB more at the end than in the middle."""
    assert _soak_in_one_process(tmp_path, _MODELS, 100) < 8e6


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_memory_does_not_grow_over_commands(
    tmp_path: Path, cli: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty rounds of four commands in one process: less than 8 MB more at the end."""
    monkeypatch.chdir(tmp_path)
    assert _soak_of_commands(tmp_path, cli, 20) < 8e6
