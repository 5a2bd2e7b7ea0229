"""What holds for every head, whatever its model."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from problems import blobs, cycle, problem

from embedcache.errors import FeatureOverflowError, IdentityMismatchError, UnfittableError
from embedcache.heads.artefact import Head
from embedcache.heads.fit import Fitted, fit
from embedcache.heads.models.index import MODELS
from embedcache.heads.names import MODEL_NAMES
from embedcache.heads.problem import Problem

pytestmark = pytest.mark.usefixtures("few_epochs")

every_model = pytest.mark.parametrize("model", MODEL_NAMES)


def held_out(labels: np.ndarray | None = None, **changes: object) -> Problem:
    """90 training and 45 test rows of three overlapping classes."""
    labels = cycle(3, 135) if labels is None else labels
    split = np.repeat(np.array([1, 3], np.uint8), [90, 45])
    return problem(labels, **{"split": split, "features": blobs(labels, spread=1.5), **changes})


def scores(fitted: Fitted) -> dict[str, float | None]:
    return {score.name: score.value for score in fitted.report.evaluation.scores}


def test_names_and_models_are_the_same() -> None:
    """What the command line offers is what there is."""
    assert tuple(MODELS) == MODEL_NAMES


@every_model
def test_it_learns(model: str) -> None:
    """Overlapping blobs are told apart far better than by the majority, with finite scores."""
    fitted = fit(held_out(), model)
    assert fitted.head.model == fitted.report.model == model
    found = scores(fitted)
    assert found["accuracy"] > 0.6
    assert found["log-loss"] < math.log(3)
    answers = fitted.head.predict_proba(blobs(cycle(3, 9)))
    assert answers.sum(axis=1) == pytest.approx(np.ones(9))


@every_model
def test_the_same_seed_gives_the_same_bytes(model: str, tmp_path: Path) -> None:
    """Two fits with one seed write equal files, and the loaded head answers equal bits."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        fitted = fit(held_out(), model)
        fitted.save(tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    rows = held_out().features
    again = Head.load(tmp_path / "a")
    assert np.array_equal(again.predict_proba(rows), fitted.head.predict_proba(rows))
    assert again.chosen == fitted.head.chosen


@every_model
def test_test_rows_change_nothing_but_the_scores(model: str) -> None:
    """Absurd test features and labels leave the choice and every array bit-equal."""
    data = held_out()
    features, labels = data.features.copy(), data.labels.copy()
    features[90:] = np.random.default_rng(9).choice([-6e4, 6e4], size=features[90:].shape)
    labels[90:] = 2 - labels[90:]
    clean = fit(data, model)
    poisoned = fit(dataclasses.replace(data, features=features, labels=labels), model)
    assert clean.report.selection == poisoned.report.selection
    arrays, others = clean.head.form.tensors(), poisoned.head.form.tensors()
    assert all(np.array_equal(arrays[name], others[name]) for name in arrays)
    assert clean.report.evaluation != poisoned.report.evaluation


def _nan() -> Problem:
    features = blobs(cycle(2, 60))
    features[17, 3] = np.nan
    return problem(cycle(2, 60), features=features)


IMPOSSIBLE: dict[str, tuple[Callable[[], Problem], str]] = {
    "no rows": (lambda: problem([], features=np.zeros((0, 4), np.float16)), "no row has"),
    "one class": (lambda: problem([0] * 50), "two classes"),
    "one training class": (
        lambda: held_out(np.repeat(np.array([0, 1], np.int32), [90, 45])),
        "two classes",
    ),
    "single rows": (lambda: problem(list(range(30))), "every class has only one row"),
    "NaN": (_nan, "not a finite number"),
}


@every_model
@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_the_impossible_is_one_clear_error(model: str, name: str) -> None:
    """The message is the same for every model."""
    make, words = IMPOSSIBLE[name]
    with pytest.raises(UnfittableError, match=words):
        fit(make(), model)


@every_model
def test_foreign_features_are_refused(model: str) -> None:
    """Another dimension, or NaN, is an error at prediction."""
    head = fit(held_out(), model).head
    with pytest.raises(IdentityMismatchError, match="dimension"):
        head.predict_proba(np.zeros((2, 11), np.float32))
    with pytest.raises(FeatureOverflowError, match="not finite"):
        head.predict_proba(np.full((2, 12), np.nan, np.float32))


@every_model
def test_constant_features_are_harmless(model: str) -> None:
    """Constant columns do no harm; constant rows alone are judged at chance."""
    labels = cycle(2, 135)
    features = blobs(labels)
    features[:, :4] = 3
    assert scores(fit(held_out(labels, features=features), model))["accuracy"] > 0.6
    same = scores(fit(held_out(labels, features=np.full((135, 3), 2, np.float16)), model))
    assert same["accuracy"] <= 0.6
    assert same["log-loss"] == pytest.approx(math.log(2), abs=0.1)


@every_model
def test_unseen_classes_are_never_answered(model: str) -> None:
    """Test rows of a class without training rows are errors of the head, not dropped."""
    labels = cycle(2, 135)
    labels[120:] = 2
    fitted = fit(held_out(labels, classes=("a", "b", "zebra")), model)
    assert fitted.head.classes == ("a", "b")
    assert fitted.head.unseen == ("zebra",)
    assert fitted.report.evaluation.rows == 45
    assert fitted.report.evaluation.classes[2].recall == 0


@every_model
def test_many_classes_of_two_rows(model: str) -> None:
    """Tiny classes are fitted and judged, though a fold holds out half of a class."""
    labels = np.repeat(np.arange(45), 3)
    split = np.tile(np.array([1, 1, 3], np.uint8), 45)
    features = blobs(labels, dim=16, spread=0.05)
    fitted = fit(held_out(labels, features=features, split=split), model)
    assert fitted.head.form.k == 45
    assert scores(fitted)["accuracy"] > 0.5


@every_model
@pytest.mark.parametrize("labels", [[0, 0, 1], [0, 1, 2, 2]])
def test_a_handful_of_rows_is_enough(model: str, labels: list[int]) -> None:
    """The smallest data that allow a judgement give one, without a warning."""
    fitted = fit(problem(labels), model)
    assert fitted.report.evaluation.rows == len(labels)
    assert all(np.isfinite(each).all() for each in fitted.head.form.tensors().values())


@every_model
def test_imbalance_is_not_hidden(model: str) -> None:
    """With one row in twenty of a class no head is worse than the majority by much."""
    labels = (np.arange(200) % 20 == 0).astype(np.int32)
    split = np.where(np.arange(200) % 3 == 0, 3, 1).astype(np.uint8)
    data = problem(labels, features=blobs(labels, spread=1.0), split=split)
    evaluation = fit(data, model).report.evaluation
    accuracy = evaluation.score("accuracy")
    assert accuracy.baseline > 0.9
    assert accuracy.value > accuracy.baseline - 0.06


@every_model
def test_more_dimensions_than_rows(model: str) -> None:
    """Two hundred dimensions and sixty rows are no difficulty."""
    labels = cycle(2, 60)
    split = np.where(np.arange(60) % 3 == 0, 3, 1).astype(np.uint8)
    data = problem(labels, features=blobs(labels, dim=200, spread=2.0), split=split)
    assert scores(fit(data, model))["accuracy"] > 0.7
