"""Evaluations of rows with any number of labels: values, baseline, intervals, and their absence."""

import numpy as np
import pytest
from sklearn import metrics

from embedcache.evaluation.intervals import share_interval, wilson
from embedcache.evaluation.multilabel import MultilabelEvaluation, evaluate_multilabel

N = 240
ALONE = np.full(N, -1, np.int32)
NAMES = ("cat", "dog", "bird")
SHARES = np.array([0.5, 0.3, 0.1])


def answers(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random((N, 3)) < [0.6, 0.3, 0.1]).astype(np.uint8)
    logits = 1.5 * (2.0 * labels - 1) + 1.5 * rng.normal(size=labels.shape)
    return labels, 1 / (1 + np.exp(-logits))


def evaluation(
    labels: np.ndarray, probabilities: np.ndarray, group: np.ndarray = ALONE
) -> MultilabelEvaluation:
    return evaluate_multilabel(labels, probabilities, NAMES, SHARES, group, seed=0)


def test_scores_of_all_rows_are_those_of_scikit_learn() -> None:
    """Every overall score is what scikit-learn computes."""
    labels, probabilities = answers()
    given = (probabilities > 0.5).astype(int)
    found = {score.name: score.value for score in evaluation(labels, probabilities).scores}
    losses = [metrics.log_loss(labels[:, j], probabilities[:, j]) for j in range(3)]
    assert found == {
        "mAP": pytest.approx(metrics.average_precision_score(labels, probabilities)),
        "exact match": pytest.approx(metrics.accuracy_score(labels, given)),
        "macro-F1": pytest.approx(metrics.f1_score(labels, given, average="macro")),
        "micro-F1": pytest.approx(metrics.f1_score(labels, given, average="micro")),
        "log-loss": pytest.approx(np.mean(losses)),
    }


def test_scores_of_a_label_are_those_of_two_classes() -> None:
    """Each label is scored as scikit-learn scores that column alone."""
    labels, probabilities = answers()
    for j, label in enumerate(evaluation(labels, probabilities).labels):
        truth, score, given = labels[:, j], probabilities[:, j], probabilities[:, j] > 0.5
        assert (label.rows, label.predicted) == (truth.sum(), given.sum())
        assert label.prevalence == pytest.approx(truth.mean())
        assert {each.name: each.value for each in label.scores} == {
            "average precision": pytest.approx(metrics.average_precision_score(truth, score)),
            "AUROC": pytest.approx(metrics.roc_auc_score(truth, score)),
            "F1": pytest.approx(metrics.f1_score(truth, given)),
            "log-loss": pytest.approx(metrics.log_loss(truth, score)),
            "recall": pytest.approx(metrics.recall_score(truth, given)),
            "precision": pytest.approx(metrics.precision_score(truth, given)),
        }


def test_shares_of_rows_have_wilson_intervals() -> None:
    """Exact match, prevalence, recall and precision get Wilson's interval of their own rows."""
    labels, probabilities = answers()
    found, given = evaluation(labels, probabilities), probabilities > 0.5
    exact = int((labels == given).all(axis=1).sum())
    assert found.score("exact match").interval == wilson(exact, N)
    has, hits = int(labels[:, 1].sum()), int((labels & given)[:, 1].sum())
    dog = found.labels[1]
    assert dog.prevalence_interval == wilson(has, N)
    assert dog.score("recall").interval == wilson(hits, has)
    assert dog.score("precision").interval == wilson(hits, int(given[:, 1].sum()))


def test_other_scores_have_bootstrap_intervals_around_them() -> None:
    """Every score of enough rows has an interval that its value lies in."""
    found = evaluation(*answers())
    assert not found.notes
    for score in (*found.scores, *(score for label in found.labels for score in label.scores)):
        assert score.value is not None
        assert score.interval is not None, score.name
        assert score.interval.low < score.value < score.interval.high


def test_the_baseline_gives_each_row_the_training_shares() -> None:
    """The baseline knows no row: AUROC ½, average precision the prevalence, nothing found."""
    labels, probabilities = answers()
    found = evaluation(labels, probabilities)
    bird = found.labels[2]
    assert bird.score("AUROC").baseline == pytest.approx(0.5)
    assert bird.score("average precision").baseline == pytest.approx(labels[:, 2].mean())
    assert bird.score("recall").baseline == 0
    assert bird.score("precision").baseline is None
    constant = np.broadcast_to(SHARES, labels.shape)
    expected = np.mean([metrics.log_loss(labels[:, j], constant[:, j]) for j in range(3)])
    assert found.score("log-loss").baseline == pytest.approx(expected)
    assert found.score("exact match").baseline == pytest.approx((labels.sum(axis=1) == 0).mean())


def test_a_probability_of_one_half_is_no_answer() -> None:
    """A label is given where its probability is above one half, not at it."""
    labels, _ = answers()
    found = evaluation(labels, np.full(labels.shape, 0.5))
    assert [label.predicted for label in found.labels] == [0, 0, 0]


@pytest.mark.parametrize("rows", [4, N - 4])
def test_a_label_of_few_rows_has_no_bootstrap_interval(rows: int) -> None:
    """A label on four rows, or on all but four, has none, and neither have means over labels."""
    labels, probabilities = answers()
    labels[:, 2] = np.arange(N) < rows
    found = evaluation(labels, probabilities)
    bird = found.labels[2]
    assert {score.name for score in bird.scores if score.interval is None} >= {
        "average precision",
        "AUROC",
        "F1",
        "log-loss",
    }
    assert {score.name for score in found.scores if score.interval is None} == {"mAP", "macro-F1"}
    assert all(score.interval is not None for score in found.labels[0].scores)
    assert len(found.notes) == 1
    assert found.notes[0].endswith("fewer than 5 judged rows with, or without, bird")


def test_a_label_that_no_judged_row_has_is_no_part_of_the_mean() -> None:
    """MAP is the mean of the labels that occur, and a note names the one that does not."""
    labels, probabilities = answers()
    labels[:, 2] = 0
    found = evaluation(labels, probabilities)
    assert found.labels[2].score("average precision").value is None
    assert found.labels[2].score("AUROC").value is None
    expected = metrics.average_precision_score(labels[:, :2], probabilities[:, :2])
    assert found.score("mAP").value == pytest.approx(expected)
    assert found.notes[1] == "no part of mAP, as no judged row has it: bird"


def test_rows_without_any_label_leave_f1_undefined() -> None:
    """Where no row has or is given a label, F1 is undefined and every row matches exactly."""
    found = evaluation(np.zeros((N, 3), np.uint8), np.full((N, 3), 0.1))
    assert found.score("micro-F1").value is None
    assert found.score("macro-F1").value is None
    assert found.score("mAP").value is None
    assert found.score("exact match").value == 1


def test_groups_widen_the_intervals() -> None:
    """Rows that come in groups of equal rows say less than as many rows alone."""
    labels, probabilities = answers()
    labels, probabilities = (
        np.repeat(each[: N // 6], 6, axis=0) for each in (labels, probabilities)
    )
    group = (np.arange(N) // 6).astype(np.int32)
    labels[:60, 2] = 1
    alone, grouped = (evaluation(labels, probabilities, each) for each in (ALONE, group))
    for name in ("mAP", "exact match", "micro-F1", "log-loss"):
        narrow, wide = alone.score(name).interval, grouped.score(name).interval
        assert narrow is not None
        assert wide is not None
        assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
    exact = (labels == (probabilities > 0.5)).all(axis=1)
    assert grouped.score("exact match").interval == share_interval(exact, group)


def test_fewer_than_five_groups_have_no_interval() -> None:
    """Four groups are too few for any interval."""
    labels, probabilities = answers()
    found = evaluation(labels, probabilities, (np.arange(N) % 4).astype(np.int32))
    assert all(score.interval is None for score in found.scores)
    assert "judged groups" in found.notes[0]


def test_a_bootstrap_interval_covers_the_mean_average_precision() -> None:
    """The 95 % interval of mAP holds that of 100,000 rows in about 95 of 100 samples."""
    rng = np.random.default_rng(0)

    def sample(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = (rng.random((n, 3)) < [0.5, 0.3, 0.2]).astype(np.uint8)
        return labels, 1 / (1 + np.exp(-2.0 * labels - rng.normal(size=(n, 3))))

    truth = metrics.average_precision_score(*sample(100_000))
    covered = 0
    for _ in range(20):
        interval = evaluation(*sample(N)).score("mAP").interval
        assert interval is not None
        covered += interval.low <= truth <= interval.high
    assert covered >= 16  # a true 95 % gives fewer in 1 of 390 runs


def test_the_same_seed_gives_the_same_evaluation() -> None:
    """Nothing but the seed is random."""
    assert evaluation(*answers()) == evaluation(*answers())
