"""Class weights: the rule, and every model that honours it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from problems import blobs, problem
from sklearn.utils.class_weight import compute_sample_weight

from embedcache.errors import UsageError
from embedcache.heads.artefact import Head
from embedcache.heads.class_weights import ClassWeights
from embedcache.heads.features import Features
from embedcache.heads.fit import fit
from embedcache.heads.model import Training
from embedcache.heads.models.index import MODELS
from embedcache.heads.problem import Problem

# Of these a repeated row is the same row again; the others draw batches or landmarks, or
# shrink by the number of rows.
EXACT = ["logreg", "ridge", "linear-svm"]
WEIGHING = [name for name, model in MODELS.items() if model.weighs]
OTHERS = [name for name in MODELS if name not in WEIGHING]

SETTING = {"C": 0.1, "alpha": 10.0, "temperature": 1.0}


def rare(**changes: object) -> Problem:
    """One row in six of the second class, the blobs overlapping."""
    labels = (np.arange(240) % 6 == 0).astype(np.int32)
    split = np.where(np.arange(240) % 5 == 0, 3, 1).astype(np.uint8)
    return problem(
        labels, **{"features": blobs(labels, dim=4, spread=2.0), "split": split, **changes}
    )


@pytest.mark.parametrize("asked", ["balanced", {"a": 2.0, "c": 0.5}])
def test_rows_weigh_as_in_scikit_learn(asked: str | dict[str, float]) -> None:
    """Balanced, or given by name where a class that is not named counts 1."""
    labels = np.array([0, 0, 0, 1, 2, 2])
    weights = ClassWeights.of(asked, ("a", "b", "c"))
    codes = asked if isinstance(asked, str) else {0: 2.0, 1: 1.0, 2: 0.5}
    assert weights.of_rows(labels) == pytest.approx(compute_sample_weight(codes, labels))


def test_a_class_without_rows_takes_no_share() -> None:
    """A fold may lack a class: the others are balanced among themselves."""
    labels = np.array([0, 0, 0, 2])
    found = ClassWeights.of("balanced", ("a", "b", "c")).of_rows(labels)
    assert found == pytest.approx(compute_sample_weight("balanced", labels))


@pytest.mark.parametrize("asked", ["even", {"zebra": 1.0}, {"a": 0.0}, {"a": float("nan")}])
def test_nonsense_is_refused(asked: str | dict[str, float]) -> None:
    """Unknown rules and classes, and weights that are none."""
    with pytest.raises(UsageError):
        ClassWeights.of(asked, ("a", "b"))


@pytest.mark.parametrize("model", EXACT)
def test_a_weight_of_two_is_two_rows(model: str) -> None:
    """Weights are repetitions: the head is the one of rows that occur twice."""
    data = rare()
    features = np.asarray(data.features, np.float32)
    weights = np.where(data.labels == 1, 2.0, 1.0)
    twice = np.repeat(np.arange(len(features)), weights.astype(int))
    kind, even = MODELS[model], np.ones(len(twice))
    scaled = Training(Features.of(features), data.labels, 0, weights=weights)
    one = kind.fit(scaled, SETTING).form.logits(features.astype(float))
    plain = Training(Features.of(features[twice]), data.labels[twice], 0)
    same = Training(Features.of(features[twice]), data.labels[twice], 0, weights=even)
    repeated = kind.fit(plain, SETTING).form.logits(features.astype(float))
    # The scaler weighs every row the same, so the penalty sees slightly other features.
    assert np.corrcoef(one[:, 1], repeated[:, 1])[0, 1] > 0.999
    assert np.abs(one - repeated).mean() < 0.05 * np.abs(repeated).mean() + 0.02
    again = kind.fit(same, SETTING).form.logits(features.astype(float))
    assert again == pytest.approx(repeated, abs=1e-6)


@pytest.mark.parametrize("model", WEIGHING)
def test_balance_finds_more_of_the_rare_class(model: str) -> None:
    """More rows are answered with it, and the artefact says why."""
    plain, balanced = fit(rare(), model), fit(rare(), model, class_weight="balanced")
    counts = [each.report.evaluation.classes[1].predicted for each in (plain, balanced)]
    assert counts[1] > counts[0]
    record = balanced.report.class_weight
    assert record.rule == "balanced"
    assert record.weights == pytest.approx((0.6, 3.0), rel=0.1)
    assert balanced.head.chosen.class_weight == record
    assert plain.report.class_weight is None


@pytest.mark.parametrize("model", OTHERS)
def test_models_without_a_use_for_weights_refuse_them(model: str) -> None:
    """The error names those that have one."""
    with pytest.raises(UsageError, match="no use for class weights") as caught:
        fit(rare(), model, class_weight="balanced")
    assert "logreg" in str(caught.value)


def test_auto_leaves_them_out() -> None:
    """With the reason; the models that are left compete under the weighted loss."""
    board = fit(rare(), "auto", class_weight="balanced").report.leaderboard
    assert {each.model for each in board.contenders}.isdisjoint(OTHERS)
    assert "ncm: no class weights" in board.left_out


def test_the_choice_is_by_the_weighted_loss() -> None:
    """Weights of one for every class choose as no weights do; others change the losses."""
    plain, even = fit(rare()), fit(rare(), class_weight={"class 0": 1.0})
    assert even.report.selection == plain.report.selection
    balanced = fit(rare(), class_weight="balanced")
    losses = [each.report.selection.scores[0].loss for each in (plain, balanced)]
    assert losses[1] == pytest.approx(np.log(2), abs=0.05)  # at C = 1e-5: nothing but the shares
    assert losses[0] < 0.5


def test_weights_of_a_cross_validation_come_from_its_training_rows() -> None:
    """The weights of an outer fold do not see the labels that judge it."""
    data = rare(split=np.zeros(240, np.uint8))
    fitted = fit(data, class_weight="balanced")
    assert fitted.report.split.folds == 5
    fold = np.flatnonzero(fitted.rows.side != 16)
    weights = ClassWeights.of("balanced", data.classes).of_rows(data.labels[fold])
    part = Training(Features(data.features, fold), data.labels[fold], 0, weights=weights)
    form = MODELS["logreg"].fit(part, fitted.report.split.fold_settings[0]).form
    judged = np.flatnonzero(fitted.rows.side == 16)
    logits = form.logits(data.features[judged].astype(np.float64))
    # The temperature of the fold is not kept: it scales all logits alike.
    given = np.log(fitted.predictions.probability[judged].astype(np.float64))
    margins, scaled = logits @ [-1, 1], given @ [-1, 1]
    assert scaled == pytest.approx(margins * (scaled[0] / margins[0]), abs=1e-4)


def test_they_survive_the_disk(tmp_path: Path) -> None:
    """head.json keeps rule and weights; a head without them says nothing of them."""
    fitted = fit(rare(), class_weight={"class 1": 4.0})
    fitted.save(tmp_path)
    assert Head.load(tmp_path).chosen == fitted.head.chosen
    assert fitted.head.chosen.class_weight.weights == (1.0, 4.0)
    plain = dataclasses.replace(fitted.head.chosen, class_weight=None)
    dataclasses.replace(fitted.head, chosen=plain).save(tmp_path)
    assert b"class_weight" not in (tmp_path / "head.json").read_bytes()


def test_a_balanced_draw_needs_no_weights() -> None:
    """A few-shot draw is weighed by its own labels: balanced, that changes nothing."""
    plain = fit(rare(), shots=(5,)).report.shots
    assert fit(rare(), shots=(5,), class_weight="balanced").report.shots == plain
