"""`Deadline`: the minutes that something may take, and an observer that ends it after them."""

from __future__ import annotations

import time

from embedcache.errors import BudgetError
from embedcache.extraction.records import Observer

__all__ = ["Deadline", "Watched"]


class Deadline:
    """A budget of time, from now on.

    Args:
        minutes: The budget.
    """

    def __init__(self, minutes: float) -> None:
        self._budget = minutes
        self._started = time.monotonic()

    @property
    def minutes(self) -> float:
        """That are spent."""
        return (time.monotonic() - self._started) / 60

    @property
    def left(self) -> float:
        """Seconds; negative when the budget is over."""
        return 60 * (self._budget - self.minutes)

    def check(self, done: str) -> None:
        """Go on only while there is time.

        Raises:
            BudgetError: There is none; it says what was done.
        """
        if self.left <= 0:
            raise BudgetError(
                "the budget ran out",
                got=f"{done} in {self._budget:g} minutes",
                hint="raise --budget: activations that are cached are not computed again",
            )


class Watched:
    """Hears of images, passes it on, and stops the work when its time is over.

    Args:
        observer: Who else hears it.
        deadline: Of the work.
    """

    def __init__(self, observer: Observer, deadline: Deadline) -> None:
        self._observer = observer
        self._deadline = deadline

    def note(self, text: str) -> None:
        """Pass it on."""
        self._observer.note(text)

    def progress(self, done: int, total: int) -> None:
        """Pass it on, while there is time.

        Raises:
            BudgetError: There is none.
        """
        self._observer.progress(done, total)
        if done < total:
            self._deadline.check(f"activations of {done:,} of {total:,} images")
