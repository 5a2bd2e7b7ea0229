"""`judge_change`: does a change ship, by one paired test on rows that nothing has read before?

Every unit has one vote: a group of rows, or a row without one. It is for the change if more of
its rows are right than before, against it if fewer, and else has none. Without groups this
is McNemar's test. N is the number of rows, U of units.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.intervals import Interval
from embedcache.evaluation.paired import mcnemar_mid_p, score_interval
from embedcache.evaluation.power import ALPHA, mcnemar_power
from embedcache.evaluation.units import row_units

__all__ = ["Gate", "gate_level", "gate_power", "judge_change"]


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
