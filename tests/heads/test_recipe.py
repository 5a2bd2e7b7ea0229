"""What a recipe makes of training rows."""

import numpy as np
import pytest
from problems import blobs, cycle

from embedcache.heads.features import Features
from embedcache.heads.judging import answers
from embedcache.heads.model import Training
from embedcache.heads.recipe import Made, Recipe


def _made(rows: int, spread: float, c: float, **changes: object) -> Made:
    labels = cycle(3, rows)
    training = Training(Features.of(blobs(labels, spread=spread)), labels, 0)
    recipe = Recipe("logreg", "log_loss", (c,), changes.get("precision"), None)
    return recipe.make(training, np.full(rows, -1, np.int32), np.arange(rows) // 3 % 5)


def test_too_sure_a_setting_is_cooled() -> None:
    """Overlapping classes at C = 1e4: a temperature well above 1, and it is in the arrays."""
    made = _made(300, 3.0, 1e4)
    assert made.temperature > 1.2
    plain = made.choice.model.fit(
        Training(Features.of(blobs(cycle(3, 300), spread=3.0)), cycle(3, 300), 0),
        made.choice.selected.record.setting,
    )
    assert made.fit.form.weights * made.temperature == pytest.approx(plain.form.weights)


def test_a_dozen_rows_ask_for_no_temperature() -> None:
    """Where all of few rows are right, only the smoothing would make the head less sure."""
    assert _made(12, 0.3, 1e4).temperature == 1.0


def test_the_threshold_is_of_rows_out_of_fold() -> None:
    """A head that knows its rows by heart does not take that for precision."""
    made = _made(300, 6.0, 1e4, precision=0.9)
    assert made.threshold is not None
    assert made.threshold.threshold is None
    own = answers(made.fit.form, Features.of(blobs(cycle(3, 300), spread=6.0)))
    assert np.mean(own.argmax(axis=1) == cycle(3, 300)) > np.mean(
        made.probabilities.argmax(axis=1) == cycle(3, 300)
    )
