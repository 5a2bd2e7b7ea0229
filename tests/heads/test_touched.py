"""Rows that a tuned backbone has seen: heads may be fitted on them, nothing is said by them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from problems import blobs, cycle, problem

from embedcache.decision.measure import Asked
from embedcache.decision.other_features import compare_features
from embedcache.decision.training_rows import training_rows
from embedcache.errors import UnfittableError, UsageError
from embedcache.evaluation.folds import NEVER, stratified_folds
from embedcache.evaluation.splits import SIDE_FOLD, SIDE_TEST, SIDE_TRAIN
from embedcache.heads import leaderboard
from embedcache.heads.features import Features
from embedcache.heads.fit import Fitted, fit
from embedcache.heads.model import Training
from embedcache.heads.models.base import Base
from embedcache.heads.models.index import MODELS
from embedcache.heads.out_of_fold import out_of_fold
from embedcache.heads.problem import Problem
from embedcache.records.manifest import SPLITS
from embedcache.records.strings import Strings

TRAIN, TEST = SPLITS.index("train"), SPLITS.index("test")


def tuned(touched: int = 160, untouched: int = 60, **changes: object) -> Problem:
    """Features that give away the class of the first rows, and are noise for the others."""
    labels = cycle(2, touched + untouched)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(len(labels), 6))
    features[:touched, 0] = 4 * labels[:touched] - 2
    seen = np.arange(len(labels)) < touched
    return problem(labels, features=features.astype(np.float16), seen=seen, **changes)


def accuracy(fitted: Fitted) -> float:
    return fitted.report.evaluation.score("accuracy").value


@pytest.mark.parametrize("model", ["logreg", "knn", "ridge", "auto"])
def test_what_the_backbone_knows_is_no_score(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The truth is a coin's; by rows that trained the backbone it would be said to be a good head.

    Only the other rows are judged, though the head is fitted on all.
    """
    values = None if model == "auto" else (1.0,)
    monkeypatch.setattr(leaderboard, "sensible", lambda *_: (("ridge", "ncm"), ()))
    honest = fit(tuned(), model, values=values)
    fooled = fit(replace(tuned(), seen=None), model, values=values)
    assert abs(accuracy(honest) - 0.5) < 0.2
    assert accuracy(fooled) > 0.8
    assert (honest.report.rows.train, honest.report.rows.judged) == (220, 60)
    assert honest.report.rows.chosen_by == 60
    assert (honest.predictions.row >= 160).all()
    assert (honest.rows.side[:160] == SIDE_TRAIN).all()
    assert (honest.rows.side[160:] >= SIDE_FOLD).all()
    assert all(doubt.row >= 160 for doubt in honest.doubts)
    assert any("160 rows that the backbone was tuned with" in each for each in honest.report.notes)


def test_the_choice_is_by_untouched_rows() -> None:
    """Rows that give themselves away ask for a large C, noise for a small one."""
    honest, fooled = fit(tuned()), fit(replace(tuned(), seen=None))
    chosen, other = (each.report.selection for each in (honest, fooled))
    assert chosen.setting["C"] < other.setting["C"]
    assert min(each.loss for each in chosen.scores) > min(each.loss for each in other.scores)


def test_flipped_labels_of_seen_rows_are_not_scored() -> None:
    """With every seen label flipped the head is worse than a coin, and says so."""
    labels = np.where(np.arange(220) < 160, 1 - cycle(2, 220), cycle(2, 220)).astype(np.int32)
    one = replace(tuned(), features=blobs(cycle(2, 220), 6), labels=labels)
    assert accuracy(fit(one, values=(1.0,))) < 0.3
    assert accuracy(fit(replace(one, seen=None), values=(1.0,))) > 0.5


def test_the_head_is_fitted_on_seen_rows_too() -> None:
    """They are most of the rows: without them it is another head."""
    one = tuned()
    without = replace(one, labels=np.where(one.seen, -1, one.labels).astype(np.int32))
    heads = [fit(each, values=(1.0,)).head for each in (one, without)]
    assert heads[0].chosen.rows == 220
    assert heads[1].chosen.rows == 60
    assert not np.allclose(heads[0].form.weights, heads[1].form.weights)


def test_a_hold_out_stays_where_enough_is_left_to_choose_by() -> None:
    """Ten untouched training rows of each class: they choose, untouched test rows judge."""
    split = np.full(220, TRAIN, np.uint8)
    split[190:] = TEST
    split[:20] = TEST  # seen although the source sets them aside: no test rows any more
    found = fit(tuned(split=split), values=(1.0,))
    assert found.report.split.kind == "hold-out"
    assert np.flatnonzero(found.rows.side == SIDE_TEST).tolist() == list(range(190, 220))
    assert found.report.selection.folds == 5
    assert found.report.rows.train == 190


def test_else_all_untouched_rows_choose_and_judge() -> None:
    """Where the training rows have all been seen, the test rows are dealt into folds."""
    split = np.where(np.arange(220) < 160, TRAIN, TEST).astype(np.uint8)
    found = fit(tuned(split=split), values=(1.0,)).report
    assert found.split.kind == "cross-validation"
    assert "60 rows that the backbone has not seen" in found.split.reason
    assert (found.rows.train, found.rows.judged) == (220, 60)


def test_a_group_is_seen_as_a_whole() -> None:
    """An untouched row that belongs to a seen one's group is neither chosen nor judged by."""
    group = np.full(220, -1, np.int32)
    group[[0, 160, 161]] = 0
    found = fit(tuned(group=group, groups=Strings.of(["panel"])), values=(1.0,))
    assert found.report.rows.judged == 58
    assert (found.rows.side[[0, 160, 161]] == SIDE_TRAIN).all()


def test_too_few_untouched_rows() -> None:
    """It says how many there are, and what would do."""
    with pytest.raises(UnfittableError, match="has seen these images") as refused:
        fit(tuned(untouched=8))
    assert refused.value.got == "8 of 168 labelled rows that it has not seen"


def test_few_shot_curves_draw_untouched_rows() -> None:
    """Each draw chooses a setting, so none has a row that gives itself away."""
    curve = fit(tuned(), values=(1.0,), shots=(5,), seeds=2).report.shots
    assert curve is not None
    (point,) = curve.points
    assert abs(next(s for s in point.scores if s.name == "accuracy").mean - 0.5) < 0.2


@pytest.mark.parametrize("rows", [60, 400])
def test_folds_of_the_own_solver_and_of_each_fit_agree(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are never held out are in every fold's fit, in both."""
    labels = cycle(3, rows)
    folds = stratified_folds(labels, np.full(rows, -1, np.int32), 4, 0)
    folds[: rows // 2] = NEVER
    training = Training(Features.of(blobs(labels, 100)), labels, 0)
    monkeypatch.setattr("embedcache.heads.models.logreg._SMALL", 0)
    joint = out_of_fold(MODELS["logreg"], training, folds, {"C": 0.01})
    monkeypatch.setattr(type(MODELS["logreg"]), "out_of_fold", Base.out_of_fold)
    each = out_of_fold(MODELS["logreg"], training, folds, {"C": 0.01})
    held_out = folds != NEVER
    gap = np.abs(joint[held_out] - each[held_out])
    assert gap.max() < 0.02 * np.abs(each[held_out]).max()


def test_decide_reads_untouched_rows_alone() -> None:
    """The others are left out, and counted."""
    found = training_rows(tuned(), seed=0)
    assert (found.row >= 160).all()
    assert (len(found), found.touched) == (60, 160)
    assert set(found.folds) == {0, 1, 2, 3, 4}


def test_features_that_know_their_rows_are_not_better_for_it() -> None:
    """`decide --against` a tuned backbone compares on images that it has not seen."""
    other = tuned()
    mine = replace(other, features=blobs(cycle(2, 220), 6, spread=4.0), seen=None)
    asked = Asked("logreg", (1.0,), 0.01, None)
    rows = training_rows(mine, seed=0)
    found = compare_features(mine, rows, other, "tuned.h5", asked)
    assert found.rows == 60
    assert found.score.low < 0
    assert compare_features(mine, rows, replace(other, seen=None), "x", asked).score.low > 0
    with pytest.raises(UsageError, match="has not seen"):
        compare_features(mine, rows, replace(other, seen=np.ones(220, bool)), "x", asked)
