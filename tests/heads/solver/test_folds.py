"""FoldedFits: one C on all folds at once, as if each fold were fitted by itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import LogisticRegression

from embedcache.heads import search
from embedcache.heads.choice_records import SelectionRecord
from embedcache.heads.features import Features
from embedcache.heads.logreg import softmax
from embedcache.heads.model import Training
from embedcache.heads.models import logreg
from embedcache.heads.models.logreg import Logreg
from embedcache.heads.selection import select
from embedcache.heads.solver import group as group_module
from embedcache.heads.solver.folds import FoldedFits, OutOfFold
from embedcache.heads.solver.objective import Objective, Value
from embedcache.heads.solver.targets import Targets
from embedcache.heads.standardise import Scaler
from embedcache.heads.threads import one_thread
from embedcache.heads.tried import METRICS

Data = tuple[np.ndarray, np.ndarray]


def digits() -> Data:
    x, y = load_digits(return_X_y=True)
    return x[:900].astype(np.float32), y[:900]


def binary() -> Data:
    x, y = load_breast_cancer(return_X_y=True)
    return x.astype(np.float32), y


def noisy() -> Data:
    """1,000 rows of 60 features, six classes, one label in ten wrong."""
    rng = np.random.default_rng(4)
    y = rng.integers(6, size=1000)
    x = rng.normal(size=(6, 60))[y] + 2 * rng.normal(size=(1000, 60))
    y[:100] = rng.integers(6, size=100)
    return x.astype(np.float32), y


def wide() -> Data:
    """1,000 rows of 300 features, six classes: too many to know all of the curvature."""
    rng = np.random.default_rng(4)
    y = rng.integers(6, size=1000)
    x = rng.normal(size=(6, 300))[y] / 2 + 2 * rng.normal(size=(1000, 300))
    return x.astype(np.float32), y


def long_tailed() -> Data:
    """The noisy rows, two of whose classes have one row left."""
    x, y = noisy()
    rare = np.concatenate([np.flatnonzero(y == k)[:1] for k in (4, 5)])
    kept = np.concatenate([np.flatnonzero(y < 4), rare])
    return x[kept], y[kept]


def few_rows() -> Data:
    """90 rows of 200 features, three classes."""
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    x = rng.normal(size=(90, 200)) + rng.normal(size=(3, 200))[y] / 4 + 3
    return x.astype(np.float32), y


def few_long_tailed() -> Data:
    """The few rows, one of which is a class of its own."""
    x, y = few_rows()
    y[2] = 3
    return x, y


def five_folds(y: np.ndarray) -> np.ndarray:
    """Five folds with all classes in each that have the rows."""
    fold = np.empty(len(y), np.int64)
    order = np.random.default_rng(0).permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    fold[order] = np.arange(len(y)) % 5
    return fold


def out_of_fold(x: np.ndarray, y: np.ndarray, c: float = 0.1) -> np.ndarray:
    fits = FoldedFits(
        Features.of(x), partial(Targets.from_codes, y, int(y.max()) + 1), five_folds(y)
    )
    fits.at(c / 10, tolerance=1e-5, max_passes=200)
    found = fits.at(c, tolerance=1e-8, max_passes=2000)
    assert found.converged
    return found.logits


@pytest.mark.parametrize("data", [digits, binary, noisy, long_tailed, few_rows, few_long_tailed])
def test_logits_are_those_of_converged_fits_of_each_fold(data: Callable[[], Data]) -> None:
    """scikit-learn finds the same, fold by fold, with each fold's own scaler."""
    x, y = data()
    folds, logits = five_folds(y), out_of_fold(x, y)
    for fold in range(5):
        train, test = folds != fold, folds == fold
        scaler = Scaler.fit(x[train])
        model = LogisticRegression(C=0.1, tol=1e-8, max_iter=5000)
        with one_thread():
            model.fit(scaler.apply(x[train], np.float64), y[train])
            expected = model.decision_function(scaler.apply(x[test], np.float64))
        if expected.ndim == 1:
            expected = expected[:, None]
            np.testing.assert_allclose(logits[test], expected, atol=2e-2)
            continue
        seen = np.unique(y[train])
        assert (np.delete(logits[test], seen, axis=1) == -np.inf).all()
        found = logits[np.ix_(test, seen)]
        found -= found.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(found, expected - expected.mean(1, keepdims=True), atol=2e-2)


def test_two_classes_out_of_three_are_a_softmax_over_two() -> None:
    """The same as one vector that tells them apart, at twice the C."""
    x, y = noisy()
    rows = np.concatenate([np.flatnonzero(y < 2), np.flatnonzero(y == 2)[:1]])
    x, y = x[rows], y[rows]
    folds, logits = five_folds(y), out_of_fold(x, y)
    test = folds == folds[-1]
    scaler = Scaler.fit(x[~test])
    with one_thread():
        model = LogisticRegression(C=0.2, tol=1e-8, max_iter=5000)
        model.fit(scaler.apply(x[~test], np.float64), y[~test])
        expected = model.decision_function(scaler.apply(x[test], np.float64))
    np.testing.assert_allclose(logits[test, 1] - logits[test, 0], expected, atol=1e-3)
    assert (logits[test, 2] == -np.inf).all()


def selections(
    data: Data, metric: str, monkeypatch: pytest.MonkeyPatch, tolerance: float = 1e-5
) -> list[SelectionRecord]:
    """By all folds at once, and by scikit-learn until it has converged."""
    x, y = data
    monkeypatch.setattr(search, "_TOLERANCE", tolerance)
    monkeypatch.setattr(logreg, "_MAX_RANKING_ITERATIONS", 5000)
    training, alone = Training(Features.of(x), y, 0), np.full(len(y), -1, np.int32)
    records = []
    for small in (0.0, np.inf):
        monkeypatch.setattr(logreg, "_SMALL", small)
        records.append(select(Logreg(), training, alone, five_folds(y), metric=metric).record)
    return records


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("data", [digits, binary, noisy, long_tailed])
def test_selection_chooses_as_with_scikit_learn(
    data: Callable[[], Data], metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All folds at once, or each by scikit-learn: equal best C, equal choice."""
    ours, theirs = selections(data(), metric, monkeypatch)
    assert ours.setting == theirs.setting
    assert ours.best == theirs.best
    assert ours.stopped_early == theirs.stopped_early


@pytest.mark.parametrize("metric", ["log_loss", "accuracy"])
@pytest.mark.parametrize("data", [digits, binary, noisy])
def test_a_dropped_c_is_never_the_one_that_full_convergence_chooses(
    data: Callable[[], Data], metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every half decade fitted to the end: none that was left out or given up on is the best."""
    x, y = data()
    for name in ("_SMALL", "_FEW"):
        monkeypatch.setattr(logreg, name, 0)
    training, alone = Training(Features.of(x), y, 0), np.full(len(y), -1, np.int32)
    climbed = select(Logreg(), training, alone, five_folds(y), metric=metric).record
    monkeypatch.setattr(logreg, "_FEW", np.inf)
    values = tuple(float(f"{10 ** (i / 2):.6g}") for i in range(-10, 6))
    every = select(Logreg(), training, alone, five_folds(y), metric=metric, values=values).record
    kept = {score.setting["C"] for score in climbed.scores if score.converged}
    wanted = [score for score in every.scores if score.setting == climbed.best]
    assert climbed.best["C"] in kept
    assert wanted[0].difference <= max(wanted[0].difference_error, 1e-3)
    assert {every.best["C"], every.setting["C"]} & kept


def test_separable_rows_are_told_apart_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every large C is nearly as good, the best is that of scikit-learn's optima.

    By a looser tolerance each of its fits ends after five steps, wherever the last one stood.
    """
    ours, theirs = selections(few_rows(), "log_loss", monkeypatch, tolerance=1e-7)
    best, reference = (min(score.loss for score in record.scores) for record in (ours, theirs))
    assert ours.best == theirs.best
    assert abs(best - reference) <= 1e-3


@pytest.mark.parametrize("data", [digits, binary, few_rows])
def test_the_fit_that_is_kept_is_scikit_learns(
    data: Callable[[], Data], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways answer alike on 99.9 % of the rows, with close logits."""
    x, y = data()
    training, logits = Training(Features.of(x), y, 0), []
    for small in (0.0, np.inf):
        monkeypatch.setattr(logreg, "_SMALL", small)
        fit = Logreg().fit(training, {"C": 0.1})
        assert fit.converged
        logits.append(fit.form.logits(x.astype(np.float64)))
    ours, theirs = (each - each.mean(axis=1, keepdims=True) for each in logits)
    np.testing.assert_allclose(ours, theirs, atol=2e-2)
    assert np.mean(ours.argmax(axis=1) == theirs.argmax(axis=1)) >= 0.999


def test_held_out_rows_have_no_say_in_their_own_prediction() -> None:
    """Other labels for one fold leave the logits of that fold as they are, at C after C."""
    x, y = noisy()
    held_out = five_folds(y) == 0
    folds, targets = five_folds(y), y.copy()
    targets[held_out] = (targets[held_out] + 1) % 6
    logits = []
    for labels in (y, targets):
        fits = FoldedFits(Features.of(x), partial(Targets.from_codes, labels, 6), folds)
        for c in (0.01, 1.0, 0.1):
            found = fits.at(c, tolerance=1e-8, max_passes=2000)
        logits.append(found.logits[held_out])
    np.testing.assert_allclose(*logits, atol=1e-2)


def last_of(*cs: float) -> OutOfFold:
    """Fits at one C after another."""
    x, y = wide()
    fits = FoldedFits(Features.of(x), partial(Targets.from_codes, y, 6), five_folds(y))
    found = [fits.at(c, tolerance=1e-5, max_passes=2000) for c in cs]
    assert all(each.converged for each in found)
    return found[-1]


@pytest.mark.parametrize("columns", [512, 6])
def test_fits_at_the_nearest_c_are_where_others_start(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two they take fewer passes than from either, and end where those do."""
    monkeypatch.setattr(group_module, "COLUMNS", columns)
    between = last_of(0.01, 1.0, 0.1)
    for other in (last_of(0.01, 0.1), last_of(1.0, 0.1), last_of(0.1)):
        np.testing.assert_allclose(between.logits, other.logits, atol=5e-2)
        assert between.passes < other.passes


def test_passes_are_evaluations_of_the_objective(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is forgotten: not at the start, between two C, nor where nothing is left to do."""
    counted, evaluate = [0], Objective.__call__

    def counting(self: Objective, parameters: torch.Tensor) -> Value:
        counted[0] += len(self)
        return evaluate(self, parameters)

    monkeypatch.setattr(Objective, "__call__", counting)
    x, y = noisy()
    fits = FoldedFits(Features.of(x), partial(Targets.from_codes, y, 6), five_folds(y))
    for c, passes in [(0.01, 200), (1.0, 5), (1.0, 200), (0.1, 200), (0.1, 200), (0.001, 200)]:
        before = counted[0]
        assert fits.at(c, tolerance=3e-5, max_passes=passes).passes == counted[0] - before


def test_a_glance_stays_in_the_precision_that_is_fast() -> None:
    """Its few passes end before float64, though the tolerance asks for it in the end."""
    x, y = noisy()
    fits = FoldedFits(Features.of(x), partial(Targets.from_codes, y, 6), five_folds(y))
    found = fits.at(1.0, tolerance=1e-8, max_passes=5)
    assert found.passes == 5 * 6, "the start and five steps"
    dtypes = {run.state.objective.dtype for group in fits._groups for run in group._runs}
    assert dtypes == {torch.float32}
    assert fits.at(1.0, tolerance=1e-8, max_passes=2000).converged


def test_a_fit_goes_on_where_a_glance_left_it() -> None:
    """A few passes and the rest are together what all at once are."""
    x, y = noisy()
    make = partial(Targets.from_codes, y, 6)
    glanced, at_once = (FoldedFits(Features.of(x), make, five_folds(y)) for _ in range(2))
    for fits in (glanced, at_once):
        fits.at(0.001, tolerance=3e-5, max_passes=200)
    first = glanced.at(1.0, tolerance=3e-5, max_passes=5)
    rest = glanced.at(1.0, tolerance=3e-5, max_passes=200)
    whole = at_once.at(1.0, tolerance=3e-5, max_passes=200)
    assert not first.converged
    assert rest.converged
    assert first.passes + rest.passes == whole.passes
    assert np.array_equal(rest.logits, whole.logits)


def test_on_the_way_up_a_fit_starts_where_the_last_one_stands_converged_or_not() -> None:
    """What was cut short nearby is a better start than what was fitted far away."""
    x, y = noisy()
    make = partial(Targets.from_codes, y, 6)
    fits, far = (FoldedFits(Features.of(x), make, five_folds(y)) for _ in range(2))
    for each in (fits, far):
        assert each.at(1e-4, tolerance=1e-8, max_passes=2000).converged
    assert not fits.at(1.0, tolerance=1e-8, max_passes=12).converged
    nearby, from_far = (each.at(2.0, tolerance=1e-8, max_passes=2000) for each in (fits, far))
    assert nearby.passes < from_far.passes
    np.testing.assert_allclose(nearby.logits, from_far.logits, atol=1e-2)


def test_after_a_glance_that_was_given_up_fits_start_at_those_that_were_not() -> None:
    """What a hopeless C has begun to learn is not what a smaller one starts with."""
    x, y = noisy()
    make = partial(Targets.from_codes, y, 6)
    glanced, spared = (FoldedFits(Features.of(x), make, five_folds(y)) for _ in range(2))
    for fits in (glanced, spared):
        for c in (0.001, 0.01):
            fits.at(c, tolerance=3e-5, max_passes=200)
    glanced.at(10.0, tolerance=3e-5, max_passes=5)
    spared.at(0.001, tolerance=3e-5, max_passes=200)
    found, expected = (fits.at(0.003, tolerance=3e-5, max_passes=200) for fits in (glanced, spared))
    assert np.array_equal(found.logits, expected.logits)


def test_many_columns_in_several_parts_give_the_same_logits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fold at a time, as with many classes, is no different."""
    for x, y in (noisy(), long_tailed()):
        together = out_of_fold(x, y)
        with monkeypatch.context() as patch:
            patch.setattr(group_module, "COLUMNS", 6)
            apart = out_of_fold(x, y)
        # Of a class that is not seen the intercept means nothing, nor then the sum of all.
        np.testing.assert_allclose(softmax(apart), softmax(together), atol=2e-3)


def test_weights_count_rows_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights change folds and fit as they do in scikit-learn's."""
    x, y = noisy()
    weights = np.random.default_rng(0).uniform(0.2, 3, len(y))
    training, logits = Training(Features.of(x), y, 0, weights=weights), []
    for small in (0.0, np.inf):
        monkeypatch.setattr(logreg, "_SMALL", small)
        scored = Logreg().out_of_fold(training, five_folds(y)).score({"C": 0.1}, 1e-7)
        fitted = Logreg().fit(training, {"C": 0.1}).form.logits(x.astype(np.float64))
        both = np.stack([scored.scores.astype(np.float64), fitted])
        logits.append(both - both.mean(axis=-1, keepdims=True))
    np.testing.assert_allclose(logits[0], logits[1], atol=3e-2)


def test_equal_inputs_give_bit_equal_logits() -> None:
    """Two runs on the same data are equal bit by bit."""
    x, y = noisy()
    assert np.array_equal(out_of_fold(x, y), out_of_fold(x, y))


def test_multilabel_has_a_column_for_each_label() -> None:
    """Several labels a row are several problems, each as if it were alone."""
    x, y = noisy()
    labels = np.stack([y < 3, y % 2 == 0], axis=1).astype(np.float64)
    folds = five_folds(y)
    make = partial(Targets.from_indicators, labels)
    both = FoldedFits(Features.of(x), make, folds).at(0.1, tolerance=1e-8, max_passes=2000)
    for column in range(2):
        make = partial(Targets.from_codes, labels[:, column].astype(np.int64), 2)
        one = FoldedFits(Features.of(x), make, folds).at(0.1, tolerance=1e-8, max_passes=2000)
        np.testing.assert_allclose(both.logits[:, column], one.logits[:, 0], atol=1e-2)


def test_logits_of_some_rows_are_those_rows_of_all() -> None:
    """They are computed when they are asked for, whatever was asked for before."""
    x, y = noisy()
    fits = FoldedFits(Features.of(x), partial(Targets.from_codes, y, 6), five_folds(y))
    found = fits.at(0.01, tolerance=1e-6, max_passes=200)
    logits, some = found.logits, np.array([7, 990, 3, 400])
    np.testing.assert_allclose(found[some], logits[some], atol=1e-5)
    fits.at(1.0, tolerance=1e-6, max_passes=200)
    assert np.array_equal(found.logits, logits)


@pytest.mark.parametrize("data", [digits, binary, noisy, long_tailed])
def test_the_refit_from_the_folds_is_the_fit_to_all_rows(
    data: Callable[[], Data], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal answers on 99.9 % of the rows with scikit-learn's optimum, though it ends at 1e-6."""
    x, y = data()
    for name in ("_SMALL", "_FEW"):
        monkeypatch.setattr(logreg, name, 0)
    training, alone = Training(Features.of(x), y, 0), np.full(len(y), -1, np.int32)
    selected = select(Logreg(), training, alone, five_folds(y))
    assert selected.folds is not None
    fit = selected.fit(Logreg(), training)
    assert fit.converged
    scaler = Scaler.fit(x)
    model = LogisticRegression(C=selected.record.setting["C"], tol=1e-9, max_iter=20_000)
    with one_thread():
        expected = model.fit(scaler.apply(x, np.float64), y).predict(scaler.apply(x, np.float64))
    assert np.mean(fit.form.logits(x.astype(np.float64)).argmax(axis=1) == expected) >= 0.999


def test_a_refit_needs_no_fold_before_it() -> None:
    """It then starts from zero."""
    x, y = noisy()
    make = partial(Targets.from_codes, y, 6)
    fits, tried_before = (FoldedFits(Features.of(x), make, five_folds(y)) for _ in range(2))
    tried_before.at(0.1, tolerance=1e-6, max_passes=2000)
    found = [each.refit(0.1, tolerance=1e-8) for each in (fits, tried_before)]
    weights = [fit.weights for fit in found if fit is not None and fit.converged]
    np.testing.assert_allclose(*weights, atol=1e-3)
