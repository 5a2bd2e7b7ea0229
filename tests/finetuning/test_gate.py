"""The gate: what ships, and how rarely nothing does."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from embedcache.evaluation.power import ALPHA
from embedcache.finetuning.gate import (
    THIRDS,
    Gate,
    gate_level,
    gate_power,
    judge_change,
    judge_thirds,
)
from embedcache.heads.json_records import dump_record, load_record


def alone(rows: int) -> NDArray[np.int32]:
    return np.full(rows, -1, np.int32)


def answers(both: int, gained: int, lost: int, neither: int) -> tuple[NDArray[np.bool_], ...]:
    counts = [both, gained, lost, neither]
    return np.repeat([True, False, True, False], counts), np.repeat(
        [True, True, False, False], counts
    )


def test_a_clear_gain_ships() -> None:
    """Twelve rows gained and two lost are enough on the first gate, and what it says adds up."""
    found = judge_change(*answers(70, 12, 2, 16), alone(100), 1)
    assert found.ships
    assert (found.number, found.rows, found.units) == (1, 100, 100)
    assert (found.gained, found.lost, found.level) == (12, 2, 0.025)
    assert (found.accuracy_before, found.accuracy_after) == (0.72, 0.82)
    assert found.difference == pytest.approx(0.1)
    assert 0 < found.interval.low < 0.1 < found.interval.high
    assert found.p == pytest.approx(0.0074, abs=1e-4)
    assert load_record(Gate, dump_record(found)) == found


def test_harm_and_nothing_stay_frozen() -> None:
    """A clear loss is significant, too, and does not ship; neither does what changes no row."""
    harm = judge_change(*answers(70, 2, 30, 0), alone(102), 1)
    assert harm.p < harm.level
    assert not harm.ships
    same = judge_change(*answers(50, 0, 0, 50), alone(100), 1)
    assert (same.p, same.ships, same.difference) == (1, False, 0)


def test_the_same_gain_needs_more_evidence_each_time() -> None:
    """What ships at the first gate stays frozen at the fourth; all levels sum up to 5 %."""
    gates = [judge_change(*answers(70, 12, 2, 16), alone(100), k) for k in (1, 4)]
    assert [each.ships for each in gates] == [True, False]
    assert gates[1].interval.low < gates[0].interval.low
    assert sum(gate_level(k) for k in range(1, 2_000)) == pytest.approx(ALPHA, rel=1e-3)


def test_a_group_has_one_vote() -> None:
    """Twelve rows gained in one group prove nothing; in twelve groups of two they do."""
    before, after = answers(0, 12, 0, 28)
    one = np.r_[np.zeros(12), np.full(28, -1)].astype(np.int32)
    found = judge_change(before, after, one, 1)
    assert (found.units, found.gained, found.ships) == (29, 1, False)
    before, after = answers(0, 24, 0, 24)
    found = judge_change(before, after, np.repeat(np.arange(24), 2).astype(np.int32), 1)
    assert (found.rows, found.units, found.gained, found.ships) == (48, 24, 12, True)
    tied = judge_change(*answers(0, 1, 1, 0), np.zeros(2, np.int32), 1)
    assert (tied.units, tied.gained, tied.lost) == (1, 0, 0)


@pytest.mark.parametrize("rows", [40, 150, 600])
@pytest.mark.parametrize("discordance", [0.02, 0.12, 0.4])
def test_a_null_change_ships_as_rarely_as_promised(rows: int, discordance: float) -> None:
    """Of 4,000 changes that gain as often as they lose, no more than half the level ship."""
    rng = np.random.default_rng(rows)
    shares = [discordance / 2, discordance / 2, 1 - discordance]
    draws = rng.multinomial(rows, shares, 4_000)
    shipped = 0
    for (gained, lost, rest), times in zip(*np.unique(draws, axis=0, return_counts=True)):  # noqa: B905  # as many
        shipped += times * judge_change(*answers(rest, gained, lost, 0), alone(rows), 1).ships
    half = gate_level(1) / 2
    assert shipped / 4_000 <= half + 3 * (half / 4_000) ** 0.5


def test_null_changes_in_groups_ship_as_rarely() -> None:
    """Also where all rows of a group change sides together, which would fool McNemar's test."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(30), 20).astype(np.int32)
    shipped = naive = 0
    for _ in range(2_000):
        sign = np.repeat(rng.choice([-1, 0, 1], 30, p=[0.2, 0.6, 0.2]), 20)
        before, after = sign < 0, sign > 0
        shipped += judge_change(before, after, group, 1).ships
        naive += judge_change(before, after, alone(600), 1).ships
    assert shipped / 2_000 <= gate_level(1) / 2 + 3 * (gate_level(1) / 4_000) ** 0.5
    assert naive / 2_000 > 0.2


def test_a_series_of_null_changes_ships_one_as_rarely_as_promised() -> None:
    """Ten gates on the same rows, each change made from the last: at most 5 % ship any.

    Without the division the same series ships one far more often.
    """
    rng = np.random.default_rng(1)
    rows, gates, series = 200, 10, 1_000
    any_ships = any_naive = 0
    for _ in range(series):
        before = rng.random(rows) < 0.85
        kept = [
            # Each candidate is as good as the frozen one in truth, on these rows by chance.
            np.where(rng.random(rows) < 0.3, rng.random(rows) < 0.85, before)
            for _ in range(gates)
        ]
        found = [judge_change(before, after, alone(rows), k + 1) for k, after in enumerate(kept)]
        any_ships += any(each.ships for each in found)
        any_naive += any(each.p <= ALPHA and each.gained > each.lost for each in found)
    assert any_ships / series <= ALPHA
    assert any_naive / series > ALPHA


@pytest.mark.parametrize(("number", "gain"), [(1, 0.05), (3, 0.08)])
def test_power_is_how_often_it_ships(number: int, gain: float) -> None:
    """What is printed before the training is what a gain of that size then meets."""
    rng = np.random.default_rng(2)
    shares = [(0.12 + gain) / 2, (0.12 - gain) / 2, 0.88]
    shipped = sum(
        judge_change(*answers(rest, gained, lost, 0), alone(300), number).ships
        for gained, lost, rest in rng.multinomial(300, shares, 2_000).tolist()
    )
    promised = gate_power(gain, 0.12, 300, number)
    assert promised == pytest.approx(shipped / 2_000, abs=4 * (0.25 / 2_000) ** 0.5)


def thirds(rows: int) -> NDArray[np.int64]:
    return np.arange(rows) % THIRDS


def test_no_third_may_lose() -> None:
    """A gain that two trainings make and the third undoes is theirs, not the way's."""
    before, after = answers(60, 24, 0, 6)
    part = thirds(90)
    assert judge_thirds(before, after, alone(90), part, 1).ships
    one = part == 0
    lost = np.where(one, ~after & before, after)
    lost[one] = False
    found = judge_thirds(before | one, lost, alone(90), part, 1)
    assert not found.ships
    found = judge_thirds(before, np.where(one, before, after), alone(90), part, 1)
    assert found.ships


@pytest.mark.parametrize("luck", [0.0, 0.01, 0.015])
def test_null_ways_of_training_ship_as_rarely(luck: float) -> None:
    """Also where each training is better or worse than its like by chance, by a point and a half.

    The level leaves room for it, as harm never ships.
    """
    rng = np.random.default_rng(3)
    rows, discordance, shipped, pooled = 600, 0.12, 0, 0
    part = thirds(rows)
    for _ in range(2_000):
        gain = np.clip(rng.normal(0, luck, THIRDS), -discordance, discordance)[part]
        draw = rng.random(rows)
        up, down = draw < (discordance + gain) / 2, draw > 1 - (discordance - gain) / 2
        found = judge_thirds(down, up, alone(rows), part, 1)
        shipped += found.ships
        pooled += found.gained > found.lost and found.p <= found.level
    assert shipped / 2_000 <= gate_level(1)
    assert pooled >= shipped
