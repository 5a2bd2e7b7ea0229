"""Temperatures: the optimum, its limits, and classes that a fold has not seen."""

import numpy as np
import pytest

from embedcache.evaluation.metrics import row_log_loss
from embedcache.heads.logreg import softmax
from embedcache.heads.temperature import fit_temperature


def drawn(n: int = 4000, k: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from their probabilities."""
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(n, k))
    return logits, np.argmax(logits + rng.gumbel(size=(n, k)), axis=1)


@pytest.mark.parametrize("scale", [1e-4, 0.2, 1.0, 30.0, 1e6])
def test_the_scale_of_true_logits_is_found(scale: float) -> None:
    """Logits of any scale come back to the one that the labels were drawn with."""
    logits, labels = drawn()
    assert fit_temperature(scale * logits, labels) == pytest.approx(scale, rel=0.06)


def test_no_other_temperature_is_better() -> None:
    """The loss is higher on both sides."""
    logits, labels = drawn(500)
    best = fit_temperature(5 * logits, labels)

    def loss(temperature: float) -> float:
        return float(row_log_loss(labels, softmax(5 * logits / temperature)).mean())

    assert loss(best) < min(loss(1.1 * best), loss(best / 1.1))


def test_separable_scores_stay_finite() -> None:
    """Scores without a mistake are trusted as far as their number allows."""
    labels = np.arange(40) % 2
    scores = np.stack([-1.0 * (2 * labels - 1), 2 * labels - 1], axis=1)
    temperature = fit_temperature(scores, labels)
    assert 0.1 < temperature < 1
    sure = softmax(scores / temperature).max()
    assert 0.9 < sure < 1


def test_unseen_classes_do_not_disturb() -> None:
    """−inf columns, and rows of classes that their fold has not seen, leave it as it was."""
    logits, labels = drawn()
    logits = np.c_[logits, np.full(len(logits), -np.inf)]
    more = np.r_[labels, [4, 4]]
    assert fit_temperature(np.r_[logits, logits[:2]], more) == pytest.approx(1, rel=0.06)


@pytest.mark.parametrize("scores", [np.zeros((5, 2)), np.full((5, 2), 3e8), np.zeros((5, 1))])
def test_scores_that_say_nothing_are_left_alone(scores: np.ndarray) -> None:
    """Equal scores have a temperature of 1."""
    assert fit_temperature(scores, np.zeros(5, int)) == 1.0
