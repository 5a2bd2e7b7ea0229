"""`Ladder`: the settings of a model that selection climbs, from the simplest to the freest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Ladder", "Setting", "decades", "described"]

Setting = dict[str, float]
"""Hyperparameters by name, the model's own parameter first."""


def described(setting: Setting) -> str:
    """A setting in words."""
    return ", ".join(f"{name} {value:.3g}" for name, value in setting.items()) or "no parameter"


@dataclass(frozen=True)
class Ladder:
    """Values of one parameter, from the strongest regularisation to the weakest.

    Attributes:
        parameter: Its name; empty for a model without one, whose `values` are `(0.0,)`.
        values: Every rung there is.
        first: The rung where the climb starts.
        last: The rung where it ends unless the best is there.
        stride: Rungs taken at a time; with 2, the neighbours of the best are added.
        stops: Whether to leave out higher rungs once one is hopeless.
        fixed: Other parameters, equal on all rungs.
    """

    parameter: str
    values: tuple[float, ...]
    first: int = 0
    last: int = -1
    stride: int = 1
    stops: bool = False
    fixed: Mapping[str, float] = field(default_factory=dict)

    @property
    def top(self) -> int:
        """The rung where the climb ends unless the best is there, counted from below."""
        return self.last % len(self.values)

    @property
    def open_ended(self) -> bool:
        """Whether values beyond the last rung would make sense."""
        return self.stride > 1

    def setting(self, index: int) -> Setting:
        """The parameters on a rung."""
        own = {self.parameter: self.values[index]} if self.parameter else {}
        return {**own, **self.fixed}

    def exactly(self, values: tuple[float, ...]) -> Ladder:
        """The same parameter with other values, in the order of this ladder."""
        falling = len(self.values) > 1 and self.values[0] > self.values[-1]
        # A 3 that is read back from JSON is a 3.0: another text, hence another digest.
        numbers = sorted({float(value) for value in values}, reverse=falling)
        return Ladder(self.parameter, tuple(numbers), fixed=self.fixed)


def decades(
    parameter: str,
    lowest: int,
    first: int,
    last: int,
    highest: int,
    fixed: Mapping[str, float] | None = None,
) -> Ladder:
    """A ladder of half decades climbed by decades; bounds in half decades.

    `lowest` > `highest` gives a falling ladder, for a parameter that is a penalty.
    """
    step = 1 if highest > lowest else -1
    indices = range(lowest, highest + step, step)
    return Ladder(
        parameter,
        tuple(_half_decade(index) for index in indices),
        abs(first - lowest),
        abs(last - lowest),
        stride=2,
        stops=True,
        fixed=fixed or {},
    )


def _half_decade(index: int) -> float:
    """`10^(index / 2)`, rounded to six digits so that it reads well."""
    return float(f"{10 ** (index / 2):.6g}")
