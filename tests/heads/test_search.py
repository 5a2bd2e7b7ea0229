"""The order in which settings are tried, and which are left out."""

from __future__ import annotations

import numpy as np
import pytest
from problems import cycle

from embedcache.heads.features import Features
from embedcache.heads.ladder import Setting
from embedcache.heads.model import Scored, Training
from embedcache.heads.models.logreg import Logreg
from embedcache.heads.search import Search
from embedcache.heads.tried import Judge

ROWS = 200
CLIMB = {1e-5: 0.1, 1e-4: 0.2, 1e-3: 0.5, 0.01: 1.0, 0.1: 1.1, 1.0: 0.7}
"""How sure the right answers are, by C: the climb ends at 1 and finds 0.1 the best."""


class Planned:
    """A fold whose answers are as sure as planned, a glance's as well; it remembers the order."""

    PASSES = 3

    def __init__(self, margins: dict[float, float]) -> None:
        self._margins, self.glanced, self.scored = margins, list[float](), list[float]()
        self._spread = np.random.default_rng(0).uniform(0.9, 1.1, ROWS)

    def glance(self, setting: Setting) -> Scored:
        """Not converged."""
        self.glanced.append(setting["C"])
        return self._answers(setting, converged=False)

    def score(self, setting: Setting, tolerance: float) -> Scored:  # noqa: ARG002  # `Fold` has it; answers are planned
        """Converged."""
        self.scored.append(setting["C"])
        return self._answers(setting, converged=True)

    def _answers(self, setting: Setting, *, converged: bool) -> Scored:
        margin = self._margins[setting["C"]] * self._spread
        logits = np.where(cycle(2, ROWS)[:, None] == np.arange(2), margin[:, None], 0.0)
        return Scored(logits, converged, self.PASSES)


def climbed(margins: dict[float, float]) -> tuple[Planned, Search]:
    fold, labels = Planned(margins), cycle(2, ROWS)
    training = Training(Features.of(np.zeros((ROWS, 3), np.float32)), labels, 0)
    judge = Judge(training, np.ones(ROWS, np.bool_), "log_loss", calibrated=True)
    search = Search(Logreg(), fold, judge.judged, np.full(ROWS, -1, np.int32), 2, None)
    search.climb(0, Logreg.ladders[0], ROWS)
    return fold, search


def test_a_hopeless_c_is_glanced_at_and_ends_the_climb() -> None:
    """It is not fitted to the end, and nothing above it is tried."""
    fold, search = climbed(CLIMB | {0.0316228: 1.05, 0.316228: 1.05})
    assert fold.glanced[-2:] == [1.0, 0.316228]
    assert 1.0 not in fold.scored
    assert search.stopped_early


def test_both_neighbours_of_the_best_are_tried() -> None:
    """The lower one first; the higher one is worth no more than a glance if it is hopeless."""
    fold, search = climbed(CLIMB | {0.0316228: 1.05, 0.316228: 1.05})
    assert fold.scored == [1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.0316228]
    assert search.tried[search.best].setting["C"] == 0.1
    fold, search = climbed(CLIMB | {0.0316228: 1.05, 0.316228: 1.2})
    assert fold.scored[-2:] == [0.0316228, 0.316228]
    assert search.tried[search.best].setting["C"] == pytest.approx(0.316228)


def test_the_higher_neighbour_is_left_out_where_the_lower_shows_the_best_to_be_hopeless() -> None:
    """What lies above a hopeless C is hopeless."""
    fold, search = climbed(CLIMB | {0.0316228: 2.0})
    assert fold.scored[-1] == search.tried[search.best].setting["C"] == 0.0316228
    assert fold.glanced[-1] == 1.0


def test_later_digits_choose_nothing() -> None:
    """What every row gains by so little is looked for, not chosen, and no end of the range."""
    _, search = climbed({10.0**power: 1 + 1e-7 * power for power in range(-8, 7)} | {316228.0: 1.0})
    assert search.tried[search.best].setting["C"] == 1e6
    assert search.tried[search.simplest].setting["C"] == 1e-5
    assert not search.on_edge


def test_what_is_equal_is_not_hopeless() -> None:
    """A loss of every row in the sixth digit does not end the climb before a gain."""
    plan = {1e-5: 1.0, 1e-4: 1 - 1e-6, 1e-3: 1.05, 0.01: 1.08, 0.0316228: 1.05, 0.316228: 1.05}
    _, search = climbed(CLIMB | plan)
    assert search.tried[search.best].setting["C"] == 0.1


def test_an_end_that_gains_is_told() -> None:
    """Weaker regularisation than there is may be better."""
    margins = {10.0**power: 1 + 0.02 * power for power in range(-5, 7)} | {316228.0: 1.0}
    assert climbed(margins)[1].on_edge


def test_scores_again_count_all_passes() -> None:
    """Those of the first time, and of the second."""
    fold, search = climbed(CLIMB | {0.0316228: 1.05, 0.316228: 1.05})
    before = search.tried[search.best]
    assert search.again(search.best).iterations == before.iterations + Planned.PASSES
    assert search.tried[search.best].iterations == before.iterations + Planned.PASSES
    assert fold.scored[-1] == 0.1
