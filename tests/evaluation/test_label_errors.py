"""Probable label errors."""

import numpy as np

from embedcache.evaluation.label_errors import label_errors, surest_error


def test_planted_errors_are_found_first() -> None:
    """Of 600 rows 30 get another label: most are found, and few others."""
    rng = np.random.default_rng(0)
    true = np.arange(600) % 3
    logits = 4 * np.eye(3)[true] + rng.normal(size=(600, 3))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    planted = rng.choice(600, 30, replace=False)
    labels = true.copy()
    labels[planted] = (true[planted] + 1) % 3
    found = label_errors(labels, shares)
    assert np.isin(found.row[:20], planted).all()
    assert np.isin(planted, found.row).mean() > 0.85
    assert np.isin(found.row, planted).mean() > 0.8
    assert (found.suggestion == true[found.row])[:20].all()
    assert (np.diff(found.margin) <= 0).all()


def test_a_timid_class_is_judged_by_its_own_standard() -> None:
    """Rows that get 0.4 where their class gets 0.35 on average are not in doubt."""
    shares = np.array([[0.95, 0.05]] * 5 + [[0.6, 0.4], [0.7, 0.3], [0.9, 0.1]])
    found = label_errors(np.array([0] * 5 + [1] * 3), shares)
    assert found.row.tolist() == []


def test_an_unknown_class_is_never_suggested() -> None:
    """No row is labelled as class 2, so there is no standard for it."""
    shares = np.array([[0.1, 0.0, 0.9], [0.0, 0.2, 0.8]])
    assert len(label_errors(np.array([0, 1]), shares).row) == 0


def _out_of_fold(overlap: float, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Given labels of three classes, two of which overlap, and a calibrated head's answers."""
    rng = np.random.default_rng(0)
    true = np.arange(3_000) % 3
    logits = 6 * np.eye(3)[true] + rng.normal(size=(3_000, 3))
    hard = (true < 2) & (rng.random(3_000) < overlap)
    logits[hard, :2] = rng.normal(size=(int(hard.sum()), 2)) + 4
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    replaced = rng.random(3_000) < noise
    labels = np.where(replaced, (true + rng.integers(1, 3, 3_000)) % 3, true)
    return labels, shares * (1 - 1.5 * noise) + noise / 2


def test_overlapping_classes_are_sure_elsewhere() -> None:
    """Half of two classes is a coin's toss; of what the head is sure of, nothing is wrong."""
    labels, shares = _out_of_fold(overlap=0.6, noise=0.0)
    assert (shares.argmax(axis=1) != labels).mean() > 0.15
    assert surest_error(labels, shares) < 0.02


def test_wrong_labels_contradict_the_surest_answers() -> None:
    """About as many as there are, whether classes overlap or not."""
    for overlap in (0.0, 0.6):
        assert 0.15 < surest_error(*_out_of_fold(overlap, noise=0.2)) < 0.25


def test_a_single_row_is_its_own_surest() -> None:
    """No row is left out by rounding."""
    assert surest_error(np.array([1]), np.array([[0.7, 0.3]])) == 1.0
