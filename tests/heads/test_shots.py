"""Few-shot curves: balanced, nested draws, judged by rows that they have not seen."""

import dataclasses

import numpy as np
import pytest
from problems import blobs, cycle, problem

from embedcache.errors import UsageError
from embedcache.heads.fit import fit
from embedcache.heads.problem import Problem
from embedcache.heads.shots import shot_ranks
from embedcache.records.strings import Strings


def given_split() -> Problem:
    """120 training and 60 test rows of three overlapping classes."""
    labels = cycle(3, 180)
    split = np.repeat(np.array([1, 3], np.uint8), [120, 60])
    return problem(labels, split=split, features=blobs(labels, spread=1.0))


def test_every_class_is_drawn_from_alike() -> None:
    """Ranks are a permutation within each class, and another draw is another one."""
    labels = np.r_[np.zeros(50, int), np.ones(7, int)]
    alone = np.full(57, -1, np.int32)
    ranks = shot_ranks(labels, alone, np.random.default_rng(0))
    for code, size in ((0, 50), (1, 7)):
        assert sorted(ranks[labels == code]) == list(range(size))
    assert not np.array_equal(ranks, shot_ranks(labels, alone, np.random.default_rng(1)))


def test_new_groups_come_first() -> None:
    """Before a second row of a group there is a row of every group."""
    labels = np.repeat([0, 1], 12)
    group = np.r_[np.arange(12) % 4, np.arange(12) % 3].astype(np.int32)
    ranks = shot_ranks(labels, group, np.random.default_rng(0))
    assert set(group[:12][ranks[:12] < 4]) == {0, 1, 2, 3}
    assert set(group[12:][ranks[12:] < 3]) == {0, 1, 2}


@pytest.mark.parametrize("model", ["ncm", "logreg", "knn"])
def test_more_rows_are_better_and_all_rows_the_best(model: str) -> None:
    """The curve rises; each point has its mean, its spread and its interval."""
    fitted = fit(given_split(), model, shots=(10, 1), seeds=3)
    curve = fitted.report.shots
    assert curve is not None
    assert [point.shots for point in curve.points] == [1, 10]
    assert [point.rows for point in curve.points] == [3, 30]
    first, second = (point.scores[0] for point in curve.points)
    own = fitted.report.evaluation.score("accuracy").value
    assert 1 / 3 < first.mean < second.mean <= own + 0.05
    for score in (first, second):
        assert score.mean == pytest.approx(np.mean(score.draws))
        assert score.spread == pytest.approx(np.std(score.draws, ddof=1))
        assert score.interval is not None
        assert score.interval.low < score.mean < score.interval.high
    assert fit(given_split(), model, shots=(10, 1), seeds=3).report.shots == curve
    assert fit(given_split(), model, shots=(1,), seeds=3).report.shots.points == curve.points[:1]


def test_test_rows_are_never_drawn() -> None:
    """With absurd test labels the head is judged wrong at every point."""
    data = given_split()
    labels = data.labels.copy()
    labels[120:] = (labels[120:] + 1) % 3
    easy = dataclasses.replace(data, labels=labels, features=blobs(data.labels, spread=0.1))
    curve = fit(easy, "ncm", shots=(1, 5), seeds=2).report.shots
    assert all(point.scores[0].mean == 0 for point in curve.points)


def test_a_cross_validation_draws_from_the_other_folds() -> None:
    """Every row is judged, and noise at chance; one draw has no spread."""
    labels = cycle(2, 100)
    noise = np.random.default_rng(0).normal(size=(100, 50)).astype(np.float16)
    curve = fit(problem(labels, features=noise), "ncm", shots=(20,), seeds=1).report.shots
    (point,) = curve.points
    assert abs(point.scores[0].mean - 0.5) < 0.2
    assert point.scores[0].spread is None
    assert point.scores[0].interval is None
    assert point.rows == 40


def test_classes_with_fewer_rows_are_named() -> None:
    """All of their rows are taken."""
    labels = np.r_[cycle(2, 60), [2, 2, 2]]
    curve = fit(problem(labels), "ncm", shots=(1, 10), seeds=1).report.shots
    assert curve.points[0].short == ()
    assert curve.points[1].short == ("class 2",)
    assert curve.points[1].rows == 20 + 3


def test_rows_of_few_groups_are_enough() -> None:
    """Groups stay whole where folds choose, and rows choose where there is one group."""
    labels = cycle(2, 120)
    group = (np.arange(120) // 20).astype(np.int32)
    data = problem(
        labels, group=group, groups=Strings.of("abcdef"), features=blobs(labels, spread=0.3)
    )
    curve = fit(data, "logreg", values=(0.1,), shots=(1, 3), seeds=2).report.shots
    assert all(0.5 < point.scores[0].mean <= 1 for point in curve.points)


@pytest.mark.parametrize("options", [{"shots": (0,)}, {"shots": (1,), "seeds": 0}])
def test_nothing_to_draw_is_refused(options: dict[str, object]) -> None:
    """Zero rows, or zero draws."""
    with pytest.raises(UsageError, match="few-shot"):
        fit(given_split(), **options)
