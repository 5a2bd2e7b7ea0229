"""Thresholds for a wanted precision."""

import numpy as np
import pytest

from embedcache.evaluation.abstention import choose_threshold, measure


def _draw(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Labels of two classes, and true probabilities of them."""
    sure = rng.uniform(0.5, 1.0, count)
    guess = rng.integers(0, 2, count)
    shares = np.stack(
        [np.where(guess == 0, sure, 1 - sure), np.where(guess == 1, sure, 1 - sure)], 1
    )
    return np.where(rng.random(count) < sure, guess, 1 - guess), shares


def test_the_threshold_reaches_the_wanted_precision() -> None:
    """What it says of the judged rows is so, and a lower precision answers more of them."""
    labels, shares = _draw(2_000, np.random.default_rng(0))
    alone = np.full(2_000, -1, np.int32)
    strict = choose_threshold(labels, shares, alone, 0.9)
    lax = choose_threshold(labels, shares, alone, 0.8)
    assert strict.threshold is not None
    answered = shares.max(axis=1) >= strict.threshold
    assert strict.coverage == pytest.approx(answered.mean())
    assert strict.precision == pytest.approx((shares.argmax(axis=1) == labels)[answered].mean())
    assert strict.bound is not None
    assert 0.9 <= strict.bound < strict.precision
    assert lax.coverage > strict.coverage > 0.1


def test_the_promise_is_kept_on_new_rows() -> None:
    """Of 300 choices, at most 5 % have a true precision below the wanted one."""
    rng = np.random.default_rng(1)
    alone = np.full(500, -1, np.int32)
    broken = chosen = 0
    for _ in range(300):
        labels, shares = _draw(500, rng)
        found = choose_threshold(labels, shares, alone, 0.85)
        if found.threshold is not None:
            chosen += 1
            broken += (found.threshold + 1) / 2 < 0.85  # the mean of the answers' probabilities
    assert chosen > 200
    assert broken / 300 <= 0.05


def test_too_few_rows_reach_nothing() -> None:
    """Ten right answers don't show a precision of 95 %."""
    shares = np.tile([0.9, 0.1], (10, 1))
    found = choose_threshold(np.zeros(10, int), shares, np.full(10, -1, np.int32), 0.95)
    assert found.threshold is None
    assert found.coverage == 0


def test_everything_may_be_answered() -> None:
    """Where all answers are right, no row is left out."""
    shares = np.tile([0.9, 0.1], (1_000, 1))
    found = choose_threshold(np.zeros(1_000, int), shares, np.full(1_000, -1, np.int32), 0.95)
    assert found.coverage == 1
    assert found.threshold == pytest.approx(0.9)


def test_what_is_measured_is_of_the_answered_rows() -> None:
    """Rows below their own threshold have no answer; inf stands for never."""
    shares = np.array([[0.9, 0.1]] * 8 + [[0.6, 0.4]] * 2)
    labels = np.array([0] * 6 + [1] * 4)
    least = np.array([0.8] * 7 + [np.inf] + [0.8] * 2)
    found = measure(labels, shares, np.full(10, -1, np.int32), least)
    assert (found.rows, found.answered, found.coverage) == (10, 7, 0.7)
    assert found.precision == pytest.approx(6 / 7)
    assert found.coverage_interval is not None
    assert found.coverage_interval.low < 0.7 < found.coverage_interval.high
    nothing = measure(labels, shares, np.full(10, -1, np.int32), np.full(10, np.inf))
    assert (nothing.answered, nothing.precision, nothing.precision_interval) == (0, None, None)
