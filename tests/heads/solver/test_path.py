"""select_path: out-of-fold losses of every C, and nothing dropped that would have won."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import LogisticRegression

from embedcache.errors import UsageError
from embedcache.heads.solver import path as path_module
from embedcache.heads.solver.fit import fit_at
from embedcache.heads.solver.path import Path, select_path
from embedcache.heads.solver.targets import Targets
from embedcache.heads.standardise import Scaler
from embedcache.heads.threads import one_thread

GRID = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0]
Data = tuple[np.ndarray, np.ndarray]


@pytest.fixture(autouse=True)
def _quiet_blas() -> Iterator[None]:
    """scikit-learn's small products on one thread: several wait for each other."""
    with one_thread():
        yield


def digits() -> Data:
    x, y = load_digits(return_X_y=True)
    return x[:900].astype(np.float32), y[:900]


def binary() -> Data:
    x, y = load_breast_cancer(return_X_y=True)
    return x.astype(np.float32), y


def noisy() -> Data:
    """1,000 rows of 60 features, six classes, one label in ten wrong."""
    rng = np.random.default_rng(3)
    y = rng.integers(6, size=1000)
    x = rng.normal(size=(6, 60))[y] + 2 * rng.normal(size=(1000, 60))
    y[:100] = rng.integers(6, size=100)
    return x.astype(np.float32), y


def few_rows() -> Data:
    """90 rows of 200 features, three classes."""
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    x = rng.normal(size=(90, 200)) + rng.normal(size=(3, 200))[y] / 4 + 3
    return x.astype(np.float32), y


def folds_of(y: np.ndarray, seed: int = 0) -> np.ndarray:
    """Five folds with all classes in each."""
    fold = np.empty(len(y), np.int64)
    order = np.random.default_rng(seed).permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    fold[order] = np.arange(len(y)) % 5
    return fold


def run(x: np.ndarray, y: np.ndarray, folds: np.ndarray, **arguments: object) -> Path:
    targets = partial(Targets.from_codes, y, int(y.max()) + 1)
    return select_path(x, targets, folds, **{"cs": GRID, **arguments})


@pytest.mark.parametrize("data", [digits, binary, noisy, few_rows])
def test_losses_are_those_of_converged_fits_of_each_fold(
    data: Callable[[], Data], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without dropping, the losses of every row are scikit-learn's, fold by fold."""
    monkeypatch.setattr(path_module, "_HOPELESS", np.inf)
    x, y = data()
    folds = folds_of(y)
    path = run(x, y, folds, cs=[1e-3, 1e-1], tolerance=1e-8)
    assert path.converged.all()
    assert not path.dropped.any()
    for at, c in enumerate(path.cs):
        for fold in range(5):
            train, test = folds != fold, folds == fold
            scaler = Scaler.fit(x[train])
            model = LogisticRegression(C=c, tol=1e-7, max_iter=5000)
            model.fit(scaler.apply(x[train], np.float64), y[train])
            logits = model.decision_function(scaler.apply(x[test], np.float64))
            if logits.ndim == 1:
                logits = np.stack([np.zeros_like(logits), logits], axis=1)
            loss = -log_softmax(logits, axis=1)[np.arange(test.sum()), y[test]]
            np.testing.assert_allclose(path.log_losses[at, test], loss, atol=5e-3)


@pytest.mark.parametrize("metric", ["log_loss", "accuracy", "balanced_accuracy"])
@pytest.mark.parametrize("data", [digits, binary, noisy, few_rows])
def test_the_c_that_full_convergence_chooses_is_never_dropped(
    data: Callable[[], Data], metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The C of the best converged loss survives, for several choices of folds."""
    x, y = data()
    for seed in range(2):
        folds = folds_of(y, seed)
        dropping = run(x, y, folds, metric=metric)
        with monkeypatch.context() as patch:
            patch.setattr(path_module, "_HOPELESS", np.inf)
            full = run(x, y, folds, metric=metric, tolerance=1e-7)
        assert not dropping.dropped[full.best]
        assert dropping.dropped.any() or metric != "log_loss"


def test_probabilities_are_those_of_the_best_c() -> None:
    """The out-of-fold probabilities give the log-losses of the best C."""
    for x, y in (digits(), binary(), few_rows()):
        path = run(x, y, folds_of(y))
        np.testing.assert_allclose(path.probabilities.sum(1), 1, atol=1e-5)
        loss = -np.log(path.probabilities[np.arange(len(y)), y].astype(np.float64))
        np.testing.assert_allclose(loss.mean(), path.log_losses[path.best].mean(), rtol=1e-3)


def test_accuracy_counts_the_mistakes_out_of_fold() -> None:
    """By accuracy, a row's loss is 1 where the likeliest class is wrong."""
    x, y = digits()
    path = run(x, y, folds_of(y), metric="accuracy")
    wrong = path.probabilities.argmax(1) != y
    np.testing.assert_array_equal(path.losses[path.best], wrong)


def test_held_out_rows_have_no_say_in_their_own_prediction() -> None:
    """Other labels for one fold leave the predictions of that fold as they are."""
    x, y = digits()
    folds = folds_of(y)
    poisoned = y.copy()
    poisoned[folds == 2] = (y[folds == 2] + 1) % 10
    for cs in ([1e-3], [1e-1]):
        clean, other = (run(x, labels, folds, cs=cs, tolerance=1e-9) for labels in (y, poisoned))
        np.testing.assert_allclose(
            clean.probabilities[folds == 2], other.probabilities[folds == 2], atol=2e-3
        )


def test_a_refit_from_the_start_needs_fewer_passes() -> None:
    """The mean of the folds' weights is nearer to the fit to all rows than zero is."""
    for x, y in (digits(), few_rows()):
        path = run(x, y, folds_of(y))
        targets = partial(Targets.from_codes, y, int(y.max()) + 1)
        arguments = (x, targets, np.ones(len(y)), path.cs[path.best])
        cold = fit_at(*arguments, scaler=Scaler.fit(x))
        warm = fit_at(*arguments, scaler=Scaler.fit(x), start=path.start)
        assert warm.passes < cold.passes
        assert warm.objective == pytest.approx(cold.objective, rel=1e-4)


def test_many_columns_in_several_batches_give_the_same_losses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One C at a time, or one problem at a time, changes the losses by the tolerance only."""
    x, y = noisy()
    folds = folds_of(y)
    together = run(x, y, folds, cs=[1e-3, 1e-2, 1e-1], tolerance=1e-8)
    from embedcache.heads.solver import folds as folds_module

    for columns in (40, 6):
        with monkeypatch.context() as patch:
            patch.setattr(path_module, "COLUMNS", columns)
            patch.setattr(folds_module, "COLUMNS", columns)
            apart = run(x, y, folds, cs=[1e-3, 1e-2, 1e-1], tolerance=1e-8)
        best = together.best
        assert apart.best == best
        np.testing.assert_allclose(apart.log_losses[best], together.log_losses[best], atol=2e-3)


def test_multilabel_averages_over_the_labels() -> None:
    """Several labels a row: losses are means over them, probabilities one column each."""
    x, y = digits()
    labels = np.stack([y % 2, y > 4], axis=1).astype(np.float64)
    path = select_path(x, partial(Targets.from_indicators, labels), folds_of(y), [1e-3, 1e-2])
    p = np.clip(path.probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    loss = -(labels * np.log(p) + (1 - labels) * np.log(1 - p)).mean(1)
    np.testing.assert_allclose(loss.mean(), path.log_losses[path.best].mean(), rtol=1e-2)


def test_equal_inputs_give_bit_equal_losses() -> None:
    """Two runs on the same data are equal bit by bit."""
    x, y = digits()
    first, second = (run(x, y, folds_of(y)) for _ in range(2))
    np.testing.assert_array_equal(first.log_losses, second.log_losses)


@pytest.mark.parametrize("arguments", [{"metric": "f1"}, {"cs": []}, {"cs": [0.0]}])
def test_wrong_arguments_are_refused(arguments: dict[str, object]) -> None:
    """An unknown metric, no C or a C of 0 is an error of usage."""
    x, y = digits()
    with pytest.raises(UsageError):
        run(x, y, folds_of(y), **arguments)
