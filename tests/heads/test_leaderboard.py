"""`--model auto`: a fair ranking, honest about ties, blind to the test rows."""

import dataclasses

import numpy as np
import pytest
from problems import blobs, cycle, problem

from embedcache.errors import UsageError
from embedcache.heads.fit import fit
from embedcache.heads.leaderboard import sensible
from embedcache.heads.names import MODEL_NAMES
from embedcache.heads.problem import Problem


def data(train: int = 90, test: int = 45, **changes: object) -> Problem:
    labels = cycle(3, train + test)
    split = np.repeat(np.array([1, 3], np.uint8), [train, test])
    return problem(labels, **{"split": split, "features": blobs(labels, spread=1.5), **changes})


def test_the_winner_is_shipped_and_opens_the_test_rows_alone() -> None:
    """The lowest out-of-fold loss wins; the test rows are opened once."""
    fitted = fit(data(), "auto")
    board = fitted.report.leaderboard
    assert board is not None
    winner, *others = board.contenders
    assert fitted.head.model == winner.model
    assert fitted.head.chosen.setting == winner.setting == fitted.report.selection.setting
    assert fitted.report.split.test_openings == 1
    losses = [each.loss for each in board.contenders]
    assert losses == sorted(losses)
    assert (winner.difference, winner.low, winner.high) == (0, 0, 0)
    for each in others:
        assert each.difference == pytest.approx(each.loss - winner.loss)
        assert each.low < each.difference < each.high


def test_models_in_doubt_are_named() -> None:
    """Where an interval holds 0 the report says that the ranking is not beyond doubt."""
    report = fit(data(), "auto").report
    close = [each.model for each in report.leaderboard.contenders[1:] if each.low <= 0]
    assert close
    assert any("not worse beyond doubt" in note and close[0] in note for note in report.notes)


def test_test_rows_do_not_choose_the_model() -> None:
    """Absurd test rows leave the leaderboard as it was."""
    clean = data()
    features = clean.features.copy()
    features[90:] = -features[90:]
    poisoned = fit(dataclasses.replace(clean, features=features), "auto").report
    assert poisoned.leaderboard == fit(clean, "auto").report.leaderboard


def test_a_curved_boundary_asks_for_a_curved_model() -> None:
    """Rings are not left to a linear head."""
    labels = cycle(2, 400)
    rng = np.random.default_rng(0)
    points = rng.normal(size=(400, 2))
    points *= ((1 + 2 * labels) / np.linalg.norm(points, axis=1))[:, None]
    split = np.where(np.arange(400) % 3 == 0, 3, 1).astype(np.uint8)
    fitted = fit(problem(labels, features=points.astype(np.float16), split=split), "auto")
    assert fitted.head.model in {"knn", "nystroem"}
    assert fitted.report.evaluation.score("accuracy").value > 0.9


def test_outer_folds_choose_their_own_model() -> None:
    """In a cross-validation the whole choice is judged, model included."""
    labels = cycle(2, 60)
    report = fit(problem(labels, features=blobs(labels, spread=2.0)), "auto").report
    assert len(report.split.fold_models) == report.split.folds == 5
    assert set(report.split.fold_models) <= set(MODEL_NAMES)


@pytest.mark.parametrize(
    ("n", "d", "k", "without"),
    [
        (50, 10, 2, {"nystroem", "mlp", "linear-sgd"}),
        (2000, 1280, 2, {"linear-sgd"}),
        (60_000, 1280, 1000, {"lda", "linear-svm", "nystroem", "linear-sgd"}),
        (300_000, 1280, 10, {"lda", "linear-svm", "knn", "nystroem", "linear-sgd"}),
    ],
)
def test_what_would_take_too_long_is_left_out(n: int, d: int, k: int, without: set[str]) -> None:
    """Size decides, and every model is either tried or named with the reason."""
    names, left_out = sensible(n, d, k)
    assert {each.split(":")[0] for each in left_out} == set(MODEL_NAMES) - set(names)
    assert without - {"lda"} <= set(MODEL_NAMES) - set(names)
    assert ("lda" in names) == (k * d * d <= 1 << 30)


def test_features_larger_than_memory_are_streamed() -> None:
    """Only the model that reads blocks is tried."""
    assert sensible(100_000_000, 1280, 10)[0] == ("linear-sgd",)


def test_values_belong_to_a_model() -> None:
    """`auto`, and models without a parameter, refuse values; unknown models are listed."""
    with pytest.raises(UsageError, match="auto chooses"):
        fit(data(), "auto", values=(1.0,))
    with pytest.raises(UsageError, match="no parameter"):
        fit(data(), "ncm", values=(1.0,))
    with pytest.raises(UsageError, match="number of neighbours"):
        fit(data(), "knn", values=(91.0,))
    with pytest.raises(UsageError, match="unknown model") as caught:
        fit(data(), "forest")
    assert "linear-svm" in str(caught.value)
