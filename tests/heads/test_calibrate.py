"""What the temperature of a head does to rows that it has not seen."""

import numpy as np
import pytest

from embedcache.heads.calibrate import Calibration, calibration_of
from embedcache.heads.logreg import softmax


def _found(
    scale: float, temperature: float, group: np.ndarray | None = None, count: int = 4_000
) -> Calibration:
    """Labels of true logits, judged by `scale` times the logits over a temperature."""
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=1.5, size=(count, 3))
    labels = (rng.random((count, 1)) > softmax(logits).cumsum(axis=1)).sum(axis=1)
    alone = np.full(count, -1, np.int32)
    return calibration_of(
        labels,
        softmax(scale * logits / temperature),
        np.full(count, temperature),
        alone if group is None else group,
        shipped=temperature,
        folds=(),
    )


@pytest.mark.parametrize("scale", [3.0, 0.4])
def test_the_right_temperature_is_seen_to_help(scale: float) -> None:
    """Both errors shrink, and the interval of the change is below 0."""
    found = _found(scale, scale)
    assert found.ece_after < 0.03 < found.ece_before
    assert found.log_loss_after < found.log_loss_before
    assert found.log_loss_change is not None
    change = found.log_loss_after - found.log_loss_before
    assert found.log_loss_change.low < change < found.log_loss_change.high < 0


def test_a_wrong_temperature_is_seen_to_harm() -> None:
    """Nothing is flattered: true probabilities that are sharpened get worse."""
    found = _found(1.0, 0.3)
    assert found.log_loss_change is not None
    assert found.log_loss_change.low > 0
    assert found.ece_after > found.ece_before


def test_a_temperature_of_one_changes_nothing() -> None:
    """Before is after, also where a head does not know a class."""
    shares = np.array([[0.7, 0.3, 0.0]] * 6)
    alone = np.full(6, -1, np.int32)
    found = calibration_of(
        np.array([0, 0, 0, 1, 1, 2]), shares, np.ones(6), alone, shipped=1.0, folds=(1.0,)
    )
    assert found.log_loss_before == pytest.approx(found.log_loss_after)
    assert found.ece_before == pytest.approx(found.ece_after)


def test_few_groups_have_no_interval() -> None:
    """Four groups say nothing of the next."""
    group = (np.arange(4_000) % 4).astype(np.int32)
    assert _found(3.0, 3.0, group).log_loss_change is None
