"""Say what a gate will be able to see, before the hours are spent, and offer one that sees more."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from embedcache.evaluation.units import row_units
from embedcache.finetuning.gate import gate_level, gate_power
from embedcache.runs.ledger import next_gate
from embedcache.workflows.tuning import Notify
from embedcache.workflows.tuning_gate import TestRows, rows_of_test
from embedcache.workflows.tuning_rows import TuningRows

__all__ = ["foretell", "sees_more_crossed"]

_POWER = 0.5
"""Below this power cross-fitting is offered."""

_GAIN, _DISCORDANCE = 0.04, 0.12
"""What fine-tuning did on ELPV: the gain of accuracy, and the share of rows that changed sides."""


def foretell(
    tuning: TuningRows,
    test: TestRows | None,
    runs: Path,
    change: str,
    notify: Notify,
    *,
    cross_fit: bool,
) -> None:
    """Say it.

    Args:
        tuning: The run.
        test: The rows that will judge; None where there are none.
        runs: The runs folder, which holds the ledger.
        change: Digest of all that the training depends on, hexadecimal.
        notify: Told.
        cross_fit: Whether the rows are cross-fitted training rows.

    Raises:
        CacheInvalidError: The ledger is damaged.
    """
    power = 0.0
    if test is None:
        notify("the run has no test rows: without them nothing can pass the gate")
    else:
        what = "cross-fitted training rows" if cross_fit else "test rows"
        text, power = _foresee(test, runs, change, what)
        notify(text)
    if power < _POWER and not cross_fit:
        notify(_offer(_cross_rows(tuning)))


def sees_more_crossed(tuning: TuningRows) -> bool:
    """Whether cross-fitting would be offered and would see more, gates before this one aside.

    So the answer does not change with what was tried: the same training is found again.

    Args:
        tuning: The run.

    Raises:
        CacheInvalidError: A file is damaged.
    """
    group = tuning.cache.tables.group[rows_of_test(tuning)]
    test = gate_power(_GAIN, _DISCORDANCE, len(np.unique(row_units(group))), 1)
    return test < min(_POWER, gate_power(_GAIN, _DISCORDANCE, _cross_rows(tuning), 1))


def _foresee(test: TestRows, root: Path, change: str, what: str = "test rows") -> tuple[str, float]:
    """What the gate will be able to see, before the training: for people, and its power.

    Args:
        test: The rows.
        root: The runs folder.
        change: Digest of all that the training depends on, hexadecimal.
        what: Which rows they are, in words.

    Raises:
        CacheInvalidError: The ledger is damaged.
    """
    number, units = next_gate(root, test.key, change), len(np.unique(row_units(test.group)))
    power = gate_power(_GAIN, _DISCORDANCE, units, number)
    counted = what if units == len(test.group) else f"groups of {what}"
    text = (
        f"gate {number} on {units:,} {counted}, at a level of {gate_level(number):.2g}: a gain of "
        f"{100 * _GAIN:.0f} points passes it with a probability of {power:.0%}, if "
        f"{_DISCORDANCE:.0%} of them change sides"
    )
    return text, power


def _offer(units: int) -> str:
    """What cross-fitting would see, for people.

    Args:
        units: Training rows or groups that it would judge.
    """
    power = gate_power(_GAIN, _DISCORDANCE, units, 1)
    return (
        f"--cross-fit trains four times instead of once, and judges on {units:,} training rows "
        f"or groups: there such a gain passes with a probability of {power:.0%}"
    )


def _cross_rows(tuning: TuningRows) -> int:
    """How many units a cross-fitted gate would judge."""
    group = tuning.cache.tables.group[tuning.rows]
    return len(np.unique(row_units(group)[~tuning.touched]))
