"""Temperatures of the judged rows."""

import numpy as np
import pytest

from embedcache.heads.calibrate import calibrate
from embedcache.heads.logreg import softmax


def _draw(count: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from true probabilities, and the same logits times `scale`."""
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=1.5, size=(count, 3))
    labels = (rng.random((count, 1)) > softmax(logits).cumsum(axis=1)).sum(axis=1)
    return labels, softmax(scale * logits)


@pytest.mark.parametrize("scale", [3.0, 0.4])
def test_it_undoes_a_wrong_scale(scale: float) -> None:
    """Logits that are three times too large, or too small, get just that temperature."""
    labels, shares = _draw(4_000, scale)
    found = calibrate(labels, shares, np.full(4_000, -1, np.int32), seed=0)
    assert found.temperature == pytest.approx(scale, rel=0.1)
    assert found.ece_after < 0.03 < found.ece_before
    assert found.log_loss_after < found.log_loss_before


def test_true_probabilities_stay() -> None:
    """A temperature near 1, and nothing gained."""
    labels, shares = _draw(4_000, 1.0)
    found = calibrate(labels, shares, np.full(4_000, -1, np.int32), seed=0)
    assert found.temperature == pytest.approx(1, rel=0.1)
    assert found.log_loss_after == pytest.approx(found.log_loss_before, abs=0.005)


def test_what_is_said_of_after_has_not_seen_its_rows() -> None:
    """One group of five is sure and wrong: a temperature that had seen it could only gain."""
    labels, shares = _draw(1_000, 1.0)
    group = np.repeat(np.arange(5, dtype=np.int32), 200)
    odd = group == 4
    shares[odd] = np.where(np.arange(3) == (labels[odd, None] + 1) % 3, 0.98, 0.01)
    found = calibrate(labels, shares, group, seed=0)
    assert found.temperature > 1.5
    assert found.log_loss_after > found.log_loss_before


def test_classes_that_a_head_does_not_know_stay_impossible() -> None:
    """A column of zeros stays, and rows of that class don't ask for an endless temperature."""
    labels, shares = _draw(1_000, 3.0)
    shares = np.c_[shares, np.zeros(1_000)]
    labels[:20] = 3
    found = calibrate(labels, shares, np.full(1_000, -1, np.int32), seed=0)
    assert found.temperature == pytest.approx(3, rel=0.2)
