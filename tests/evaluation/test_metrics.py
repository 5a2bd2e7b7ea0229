"""Metrics against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from embedcache.evaluation.metrics import Counts, Ranking, confusion, row_log_loss


@pytest.fixture(params=[2, 3, 7])
def answers(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of a mediocre classifier."""
    rng = np.random.default_rng(request.param)
    labels = rng.integers(0, request.param, 300)
    logits = rng.normal(size=(300, request.param)) + 1.5 * np.eye(request.param)[labels]
    powers = np.exp(logits)
    return labels, powers / powers.sum(axis=1, keepdims=True)


def test_counts_agree_with_scikit_learn(answers: tuple[np.ndarray, np.ndarray]) -> None:
    """Accuracy, balanced accuracy, precision, recall and F1 are those of scikit-learn."""
    labels, probabilities = answers
    predicted = probabilities.argmax(axis=1)
    counts = Counts.of(labels, predicted, probabilities.shape[1])
    assert counts.accuracy == pytest.approx(metrics.accuracy_score(labels, predicted))
    balanced = metrics.balanced_accuracy_score(labels, predicted)
    assert counts.balanced_accuracy == pytest.approx(balanced)
    assert counts.macro_f1 == pytest.approx(metrics.f1_score(labels, predicted, average="macro"))
    for mine, theirs in (
        (counts.recall, metrics.recall_score),
        (counts.precision, metrics.precision_score),
        (counts.f1, metrics.f1_score),
    ):
        assert mine == pytest.approx(theirs(labels, predicted, average=None))


def test_weights_agree_with_scikit_learn(answers: tuple[np.ndarray, np.ndarray]) -> None:
    """A weight counts a row as often as the bootstrap drew it."""
    labels, probabilities = answers
    predicted = probabilities.argmax(axis=1)
    weight = np.random.default_rng(0).integers(0, 4, len(labels)).astype(float)
    counts = Counts.of(labels, predicted, probabilities.shape[1], weight)
    expected = metrics.f1_score(labels, predicted, average="macro", sample_weight=weight)
    assert counts.macro_f1 == pytest.approx(expected)


def test_a_class_that_is_never_predicted_has_no_precision() -> None:
    """Undefined scores are NaN; the macro averages follow scikit-learn's."""
    labels, predicted = np.array([0, 0, 1, 2]), np.array([0, 0, 0, 2])
    counts = Counts.of(labels, predicted, 4)
    assert np.isnan(counts.precision[1])
    assert np.isnan(counts.recall[3])
    assert counts.macro_f1 == pytest.approx(metrics.f1_score(labels, predicted, average="macro"))
    assert counts.balanced_accuracy == pytest.approx(2 / 3)


def test_log_loss_agrees_with_scikit_learn(answers: tuple[np.ndarray, np.ndarray]) -> None:
    """The mean of the row losses is scikit-learn's log_loss."""
    labels, probabilities = answers
    expected = metrics.log_loss(labels, probabilities)
    assert row_log_loss(labels, probabilities).mean() == pytest.approx(expected)


def test_log_loss_of_an_impossible_label_is_finite() -> None:
    """A label that got probability 0 costs 36 nats, not infinity."""
    losses = row_log_loss(np.array([1]), np.array([[1.0, 0.0]]))
    assert losses == pytest.approx([-np.log(np.finfo(float).eps)])


def test_confusion_agrees_with_scikit_learn(answers: tuple[np.ndarray, np.ndarray]) -> None:
    """The sparse cells are the non-zero ones of scikit-learn's matrix."""
    labels, probabilities = answers
    predicted = probabilities.argmax(axis=1)
    dense = np.zeros((probabilities.shape[1],) * 2, int)
    for true, guess, rows in confusion(labels, predicted):
        assert rows > 0
        dense[true, guess] = rows
    assert np.array_equal(dense, metrics.confusion_matrix(labels, predicted))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 3)), min_size=4, max_size=40
    )
)
def test_rankings_agree_with_scikit_learn(rows: list[tuple[bool, int, int]]) -> None:
    """AUROC and average precision are those of scikit-learn, with ties and weights."""
    positive = np.array([row[0] for row in rows])
    score = np.array([float(row[1]) for row in rows])
    weight = np.array([float(row[2]) for row in rows])
    ranking = Ranking(positive, score)
    if weight[positive].sum() == 0 or weight[~positive].sum() == 0:
        assert np.isnan(ranking.auroc(weight))
        return
    drawn = weight > 0  # scikit-learn's curve keeps thresholds of rows without weight
    expected = metrics.roc_auc_score(positive[drawn], score[drawn], sample_weight=weight[drawn])
    assert ranking.auroc(weight) == pytest.approx(expected)
    expected = metrics.average_precision_score(
        positive[drawn], score[drawn], sample_weight=weight[drawn]
    )
    assert ranking.average_precision(weight) == pytest.approx(expected)


def test_replicates_are_scored_together_as_one_by_one() -> None:
    """Weights of many replicates give the counts, shares and rankings of each alone."""
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(4, size=50), rng.integers(4, size=50)
    weights = rng.integers(3, size=(6, 50)).astype(float)
    weights[0, labels == 2] = 0
    together = Counts.of(labels, predicted, 4, weights)
    ranking = Ranking(labels == 1, rng.integers(9, size=50).astype(float))
    for at, weight in enumerate(weights):
        alone = Counts.of(labels, predicted, 4, weight)
        for name in ("support", "predicted", "correct", "f1", "balanced_accuracy", "macro_f1"):
            assert getattr(together, name)[at] == pytest.approx(getattr(alone, name), nan_ok=True)
        assert together.micro_f1[at] == pytest.approx(alone.micro_f1)
        for many, one in zip(ranking.both(weights), ranking.both(weight), strict=True):
            assert many[at] == pytest.approx(one)
