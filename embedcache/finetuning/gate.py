"""`judge_change`: does a change ship, by one paired test on rows that nothing has read before?

Every unit has one vote: a group of rows, or a row without one. It is for the change if more of
its rows are right than before, against it if fewer, and else has none. Without groups this
is McNemar's test. N is the number of rows, U of units.

Where there are no rows that nothing has read, or too few, the training rows can judge the way of
training: in thirds, each by a training on the other two. Source: Dietterich (1998), *Approximate
statistical tests for comparing supervised classification learning algorithms*, Neural
Computation 10; he finds such tests liberal, as one training's luck is in all of its answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.intervals import Interval
from embedcache.evaluation.paired import mcnemar_mid_p, score_interval
from embedcache.evaluation.power import ALPHA, mcnemar_power
from embedcache.evaluation.units import row_units

__all__ = ["THIRDS", "Gate", "Third", "gate_level", "gate_power", "judge_change", "judge_thirds"]

THIRDS = 3
"""Trainings of a cross-fitted gate; each lacks a third of the rows."""


@dataclass(frozen=True)
class Gate:
    """What the test said.

    Attributes:
        number: How many gates were on these rows, this one included.
        level: Of this one, two-sided.
        rows: N.
        units: U.
        gained: Units that voted for the change.
        lost: Units that voted against it.
        accuracy_before: Share of the rows that are right without the change.
        accuracy_after: With it.
        difference: (gained − lost) / U; without groups that of the accuracies.
        interval: Of the difference, a score interval at a confidence of 1 − level.
        p: Two-sided mid-p value.
        ships: Whether more units gained than lost, and p is no larger than the level.
    """

    number: int
    level: float
    rows: int
    units: int
    gained: int
    lost: int
    accuracy_before: float
    accuracy_after: float
    difference: float
    interval: Interval
    p: float
    ships: bool


@dataclass(frozen=True)
class Third:
    """A training without a third of the rows, and what it said of them.

    Attributes:
        rows: Of the third.
        alpha: Share of the way that its own validation rows chose; at 0 it stayed frozen.
        gained: Rows that it has right, and the frozen head wrong.
        lost: The other way round.
        accuracy_before: Of the frozen head, fitted to the same two thirds.
        accuracy_after: Of the tuned model.
        minutes: That the training took.
    """

    rows: int
    alpha: float
    gained: int
    lost: int
    accuracy_before: float
    accuracy_after: float
    minutes: float

    @classmethod
    def of(
        cls,
        before: NDArray[np.bool_],
        after: NDArray[np.bool_],
        alpha: float,
        minutes: float,
    ) -> Third:
        """From which rows of the third are right, (n,) each."""
        return cls(
            len(before),
            alpha,
            int((after & ~before).sum()),
            int((before & ~after).sum()),
            float(before.mean()),
            float(after.mean()),
            minutes,
        )


def gate_level(number: int) -> float:
    """Level of the k-th gate on the same rows, 0.05 / (k (k + 1)).

    However many there are, the levels sum up to 0.05 at most, as 1 / (k (k + 1)) is
    1 / k − 1 / (k + 1): by the union bound that is how often a series of worthless changes
    ships one of them, whatever the later ones were taught by the earlier gates.

    Args:
        number: k, from 1 on.
    """
    return ALPHA / (number * (number + 1))


def gate_power(gain: float, discordance: float, units: int, number: int) -> float:
    """Probability that the k-th gate ships such a gain.

    Args:
        gain: Of accuracy, 0 to 1.
        discordance: Share of units that vote at all.
        units: U.
        number: k, from 1 on.
    """
    return mcnemar_power(gain, discordance, units, gate_level(number))


def judge_change(
    before: NDArray[np.bool_], after: NDArray[np.bool_], group: NDArray[np.int32], number: int
) -> Gate:
    """Let a change through, or not.

    Args:
        before: (N,) which rows are right without the change, N above 0.
        after: (N,) which are right with it.
        group: (N,) codes of what errs together, negative for a row of its own.
        number: k, this gate included.
    """
    net = np.bincount(row_units(group), weights=after.astype(float) - before)
    units, gained, lost = len(net), int((net > 0).sum()), int((net < 0).sum())
    level, p = gate_level(number), mcnemar_mid_p(gained, lost)
    z = NormalDist().inv_cdf(1 - level / 2)
    return Gate(
        number,
        level,
        len(before),
        units,
        gained,
        lost,
        float(before.mean()),
        float(after.mean()),
        (gained - lost) / units,
        score_interval(gained, lost, units, z),
        p,
        gained > lost and p <= level,
    )


def judge_thirds(
    before: NDArray[np.bool_],
    after: NDArray[np.bool_],
    group: NDArray[np.int32],
    part: NDArray[np.integer],
    number: int,
) -> Gate:
    """Let a way of training through, or not: all thirds are tested together, and none may lose.

    Answers of one training share its luck, which the test takes for that of so many rows. That
    none of the three may lose, and that harm never ships, makes up for it: where trainings
    differ by chance by a point and a half, a worthless way ships no more often than the level
    says (tests/finetuning/test_gate.py simulates it).

    Args:
        before: (N,) which rows are right without the change.
        after: (N,) which are right with it.
        group: (N,) codes of what errs together, negative for a row of its own.
        part: (N,) third of each row.
        number: k, this gate included.
    """
    gate = judge_change(before, after, group, number)
    net = np.bincount(part, weights=after.astype(float) - before)
    return replace(gate, ships=gate.ships and bool((net >= 0).all()))
