"""`LadderCosts`: the minutes that each stage of `run` took, over all calls, and what is left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from embedcache.errors import CacheInvalidError
from embedcache.heads.json_records import dump_record, load_record
from embedcache.runs.files import read_regular
from embedcache.storage.publish import write_atomic

__all__ = ["LadderCosts", "Meter"]

_LARGEST = 1 << 16


@dataclass(frozen=True)
class _Spent:
    """The file.

    Attributes:
        minutes: By stage.
        budget: Of the whole, when the training's was settled; None for none.
        training: That the training was given then; a training of other minutes is another one.
        uncrossed: Whether they did not suffice for cross-fitting it.
    """

    minutes: dict[str, float] = field(default_factory=dict)
    budget: float | None = None
    training: float | None = None
    uncrossed: bool = False


class Meter:
    """Counts a stage, unless its result was there before."""

    def __init__(self) -> None:
        self.counts = True

    def reused(self, was: object) -> None:
        """Leave this look at a finished stage out, if `was` says so: its cost is known."""
        self.counts = not was


class LadderCosts:
    """Kept in a small file, so that a budget holds for all calls that one ladder takes.

    A call that is killed outright takes what it spent in that stage with it.

    Args:
        path: The file.
        budget: Minutes for the whole; None for any.

    Raises:
        CacheInvalidError: The file is damaged.
    """

    def __init__(self, path: Path, budget: float | None) -> None:
        self._path = path
        self._budget = budget
        self._spent = _read(path)

    def minutes(self, stage: str) -> float:
        """That a stage took, in all calls."""
        return self._spent.minutes.get(stage, 0.0)

    @property
    def left(self) -> float:
        """Minutes; infinite without a budget, never negative."""
        if self._budget is None:
            return float("inf")
        return max(0.0, self._budget - sum(self._spent.minutes.values()))

    @contextmanager
    def of(self, stage: str) -> Iterator[Meter]:
        """Count the block for a stage, also where it is interrupted."""
        meter, started = Meter(), time.monotonic()
        try:
            yield meter
        finally:
            if meter.counts:
                taken = self.minutes(stage) + (time.monotonic() - started) / 60
                self._keep(minutes={**self._spent.minutes, stage: taken})

    def for_training(self) -> float | None:
        """The training's minutes: those left when it was first asked for under this budget."""
        if self._budget is None:
            return None
        if self._spent.training is None or self._spent.budget != self._budget:
            self._keep(budget=self._budget, training=self.left, uncrossed=False)
        return self._spent.training

    @property
    def uncrossed(self) -> bool:
        """Whether the training's minutes have not sufficed for cross-fitting it."""
        return self._spent.uncrossed and self._spent.budget == self._budget

    def leave_uncrossed(self) -> None:
        """Keep that they have not, so that later calls find the same training."""
        self._keep(uncrossed=True)

    def _keep(self, **changes: Any) -> None:
        self._spent = replace(self._spent, **changes)
        write_atomic(self._path, dump_record(self._spent))


def _read(path: Path) -> _Spent:
    if not path.exists() and not path.is_symlink():
        return _Spent()
    try:
        return load_record(_Spent, read_regular(path, _LARGEST))
    except ValueError as error:
        raise CacheInvalidError(
            "the costs of an unfinished run are damaged",
            where=path,
            got=error,
            hint="delete the file: only the minutes spent so far are lost",
        ) from error
