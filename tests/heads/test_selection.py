"""The choice of C."""

import numpy as np
import pytest
from problems import blobs, cycle

from embedcache.errors import UsageError
from embedcache.evaluation.folds import stratified_folds
from embedcache.heads.choice_records import SelectionRecord
from embedcache.heads.features import Features
from embedcache.heads.model import Training
from embedcache.heads.models.logreg import Logreg
from embedcache.heads.selection import select


def chosen(labels: np.ndarray, rows: np.ndarray, **options: object) -> SelectionRecord:
    group = options.pop("group", np.full(len(labels), -1, np.int32))
    folds = stratified_folds(labels, group, 5, 0)
    training = Training(Features.of(rows.astype(np.float32)), labels, 0)
    return select(Logreg(), training, group, folds, **options).record


def noisy(n: int = 300, k: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping classes among many useless features: a C inside the grid is best."""
    labels = cycle(k, n)
    noise = np.random.default_rng(seed).normal(size=(n, 40))
    return labels, np.c_[blobs(labels, dim=6, spread=2.0, seed=seed), noise]


def test_an_optimum_inside_the_grid_is_bracketed() -> None:
    """Half decades surround the best C, and hopeless ones are left out."""
    record = chosen(*noisy())
    cs = [score.setting["C"] for score in record.scores]
    at = cs.index(record.best["C"])
    assert 0 < at < len(cs) - 1
    assert cs[at + 1] / cs[at] == pytest.approx(10**0.5, rel=1e-4)
    assert cs[at] / cs[at - 1] == pytest.approx(10**0.5, rel=1e-4)
    assert not record.on_edge
    assert record.stopped_early
    assert max(cs) < 1e6


def test_the_smallest_c_within_one_paired_error_is_chosen() -> None:
    """No smaller C ties with the best; the choice does."""
    record = chosen(*noisy())
    by_c = {score.setting["C"]: score for score in record.scores}
    assert by_c[record.best["C"]].loss == min(score.loss for score in record.scores)
    choice = by_c[record.setting["C"]]
    assert choice.difference <= choice.difference_error or record.setting["C"] == record.best["C"]
    for score in record.scores:
        if score.setting["C"] < record.setting["C"]:
            assert score.difference > score.difference_error


def test_pairs_decide_ties_not_the_spread_of_rows() -> None:
    """The unpaired one-error rule would go to a far smaller and worse C."""
    record = chosen(*noisy(600))
    losses = {score.setting["C"]: score.loss for score in record.scores}
    spread = 0.9 / 600**0.5  # a row's log-loss has a standard deviation of about 0.9 here
    unpaired = min(c for c, loss in losses.items() if loss <= losses[record.best["C"]] + spread)
    assert unpaired < record.setting["C"]


def test_the_grid_extends_upwards() -> None:
    """Classes that only large weights separate ask for more than C = 10."""
    rng = np.random.default_rng(3)
    line = rng.uniform(-1, 1, 600)
    labels = (line + 0.1 * rng.normal(size=600) > 0).astype(int)
    rows = np.stack([line + 5 * (other := rng.normal(size=600)), other], axis=1)
    record = chosen(labels, rows)
    assert record.best["C"] > 10
    assert max(score.setting["C"] for score in record.scores) > record.best["C"]


def test_the_grid_extends_downwards_until_nothing_is_gained() -> None:
    """Pure noise in many dimensions asks for the smallest C there is; none smaller is better."""
    rng = np.random.default_rng(0)
    record = chosen(cycle(2, 200), rng.normal(size=(200, 300)))
    assert min(score.setting["C"] for score in record.scores) == pytest.approx(1e-8)
    assert not record.on_edge


def test_separable_rows_end_the_search() -> None:
    """Where the loss is nearly nothing no larger C is tried."""
    labels = cycle(3, 300)
    record = chosen(labels, blobs(labels, dim=8, spread=0.01))
    assert record.stopped_early
    assert max(score.setting["C"] for score in record.scores) < 1e6


def test_given_cs_are_all_that_is_tried() -> None:
    """`values` replaces the grid, without extension or early stop."""
    record = chosen(*noisy(), values=(100.0, 1e-6, 0.1))
    assert [score.setting["C"] for score in record.scores] == [1e-6, 0.1, 100.0]
    assert not record.on_edge
    assert chosen(*noisy(), values=(1e-6, 1e-5)).on_edge


@pytest.mark.parametrize("values", [(), (0.0,), (-1.0, 1.0), (float("inf"),), (float("nan"),)])
def test_impossible_cs_are_refused(values: tuple[float, ...]) -> None:
    """C is above 0 and finite."""
    with pytest.raises(UsageError, match="C must be"):
        chosen(*noisy(60), values=values)


def test_unknown_metrics_are_refused() -> None:
    """Only means over rows can be compared in pairs."""
    with pytest.raises(UsageError, match="unknown metric"):
        chosen(*noisy(60), metric="macro_f1")


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy"])
def test_other_metrics_are_one_minus_themselves(metric: str) -> None:
    """The loss of a score is 1 minus the score."""
    labels, rows = noisy(240, k=2)
    record = chosen(labels, rows, metric=metric, values=(0.01, 0.1))
    for score in record.scores:
        assert 0 < score.loss < 1
        if metric == "accuracy":
            assert score.loss == pytest.approx(1 - score.accuracy)
        else:  # even classes: the balanced error is the error
            assert score.loss == pytest.approx(1 - score.accuracy)


def test_balanced_accuracy_counts_classes_alike() -> None:
    """With one class in ten rows the majority's answer has a balanced error of one half."""
    labels = (np.arange(200) % 10 == 0).astype(int)
    rows = np.random.default_rng(0).normal(size=(200, 2))
    record = chosen(labels, rows, metric="balanced_accuracy", values=(1e-6,))
    assert record.scores[0].loss == pytest.approx(0.5)
    assert record.scores[0].accuracy == pytest.approx(0.9)


def test_groups_widen_the_error_of_a_difference() -> None:
    """Copies of a row in one group do not sharpen the choice."""
    labels, rows = noisy(150)
    few = chosen(labels, rows, values=(0.001, 1.0))
    group = np.repeat(np.arange(150, dtype=np.int32), 4)
    many = chosen(
        np.repeat(labels, 4), np.repeat(rows, 4, axis=0), values=(0.001, 1.0), group=group
    )
    worse = max(few.scores, key=lambda score: score.difference)
    same = next(score for score in many.scores if score.setting["C"] == worse.setting["C"])
    assert same.difference_error > 0.6 * worse.difference_error


def test_progress_tells_each_c() -> None:
    """Every C is announced."""
    told: list[str] = []
    chosen(*noisy(60), values=(0.1, 1.0), progress=told.append)
    assert told == ["choosing logreg: C 0.1", "choosing logreg: C 1"]
