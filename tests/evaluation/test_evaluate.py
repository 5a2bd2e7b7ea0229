"""Evaluations: values, baseline, missing intervals."""

import numpy as np
import pytest
from sklearn import metrics

from embedcache.evaluation.evaluate import evaluate
from embedcache.evaluation.intervals import wilson


def answers(k: int, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % k
    powers = np.exp(rng.normal(size=(n, k)) + 1.5 * np.eye(k)[labels])
    return labels, powers / powers.sum(axis=1, keepdims=True)


ALONE = np.full(200, -1, np.int32)


def test_two_classes_have_rankings() -> None:
    """Two classes get AUROC and average precision of the second class."""
    labels, probabilities = answers(2, 200)
    result = evaluate(labels, probabilities, ("a", "b"), np.array([0.6, 0.4]), ALONE, seed=0)
    assert result.positive == "b"
    auroc = result.score("AUROC")
    assert auroc.value == pytest.approx(metrics.roc_auc_score(labels, probabilities[:, 1]))
    assert auroc.baseline == pytest.approx(0.5)
    assert auroc.interval is not None
    assert auroc.interval.low < auroc.value < auroc.interval.high


def test_more_classes_have_none() -> None:
    """Three classes get no AUROC."""
    labels, probabilities = answers(3, 200)
    result = evaluate(labels, probabilities, ("a", "b", "c"), np.ones(3) / 3, ALONE, seed=0)
    assert result.positive is None
    with pytest.raises(KeyError):
        result.score("AUROC")


def test_accuracy_and_recall_have_wilson_intervals() -> None:
    """Shares of rows get Wilson's interval."""
    labels, probabilities = answers(2, 200)
    result = evaluate(labels, probabilities, ("a", "b"), np.array([0.5, 0.5]), ALONE, seed=0)
    hits = labels == probabilities.argmax(axis=1)
    assert result.score("accuracy").interval == wilson(int(hits.sum()), 200)
    assert result.classes[1].recall_interval == wilson(int(hits[labels == 1].sum()), 100)


def test_the_baseline_is_the_majority_of_the_training_rows() -> None:
    """The baseline answers the most frequent training class, whatever the judged rows are."""
    labels, probabilities = answers(2, 200)
    labels[:80] = 0
    result = evaluate(labels, probabilities, ("a", "b"), np.array([0.3, 0.7]), ALONE, seed=0)
    assert result.majority == "b"
    assert result.score("accuracy").baseline == pytest.approx(np.mean(labels == 1))
    expected = -np.mean(np.log(np.where(labels == 1, 0.7, 0.3)))
    assert result.score("log-loss").baseline == pytest.approx(expected)


def test_a_class_of_four_rows_takes_intervals_along() -> None:
    """Fewer than five judged rows of a class: none of it and of means over classes, and a note."""
    labels, probabilities = answers(2, 200)
    labels = np.where(np.arange(200) < 4, 2, labels)
    probabilities = np.c_[probabilities, np.zeros(200)]
    result = evaluate(
        labels, probabilities, ("a", "b", "rare"), np.array([0.5, 0.5, 0.0]), ALONE, seed=0
    )
    assert result.score("accuracy").interval is not None
    assert result.score("macro-F1").interval is None
    assert result.score("balanced accuracy").interval is None
    log_loss = result.score("log-loss")
    assert log_loss.interval is not None
    assert log_loss.value is not None
    assert log_loss.interval.low < log_loss.value < log_loss.interval.high
    assert result.classes[0].f1_interval is not None
    assert result.classes[2].f1_interval is None
    assert result.classes[2].recall_interval is None
    assert result.classes[0].recall_interval is not None
    assert result.classes[2].recall == 0
    assert result.classes[2].precision is None
    assert "rare" in result.notes[0]


def test_groups_widen_the_intervals() -> None:
    """Rows that are copies within their groups give wider intervals than independent rows."""
    labels, probabilities = answers(2, 40)
    labels, probabilities = np.repeat(labels, 5), np.repeat(probabilities, 5, axis=0)
    shares = np.array([0.5, 0.5])
    group = np.repeat(np.arange(40, dtype=np.int32), 5)
    plain = evaluate(labels, probabilities, ("a", "b"), shares, ALONE, seed=0)
    grouped = evaluate(labels, probabilities, ("a", "b"), shares, group, seed=0)
    for name in ("accuracy", "log-loss", "AUROC"):
        narrow, wide = plain.score(name).interval, grouped.score(name).interval
        assert narrow is not None
        assert wide is not None
        assert wide.high - wide.low > 1.7 * (narrow.high - narrow.low)
