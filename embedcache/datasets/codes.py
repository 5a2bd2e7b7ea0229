"""Names to codes: labels and groups into sorted tables, splits into the fixed ones.

N is the number of samples, K the number of distinct names.
"""

from __future__ import annotations

import os
import unicodedata
from array import array
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import SourceError
from embedcache.records.manifest import NO_CODE, SPLITS
from embedcache.records.strings import Strings

__all__ = ["SPLIT_NAMES", "Coder", "lookalikes", "split_code"]

SPLIT_NAMES = {
    "train": 1,
    "training": 1,
    "val": 2,
    "valid": 2,
    "validation": 2,
    "dev": 2,
    "test": 3,
    "testing": 3,
}
"""Names that people give to splits, and their codes in `records.manifest.SPLITS`."""


def split_code(name: str) -> int | None:
    """The code of a split's name in any case, 0 for none given, None for an unknown name."""
    name = name.strip().casefold()
    return SPLIT_NAMES.get(name) if name else SPLITS.index("")


class Coder:
    """Collects one name per sample and gives them codes in sorted order.

    Names are kept exactly as they are: `01`, `1.0`, `NaN` and `true` are
    strings. Two names that look the same but differ in their Unicode form
    (NFC, NFD) are an error, because they would silently be two classes.

    Args:
        what: What the names are, for messages: `label`, `group`.
        place: Names the place of a sample or line number, for messages.
    """

    def __init__(self, what: str, place: Callable[[int], str]) -> None:
        self._what = what
        self._place = place
        self._codes: dict[str, int] = {}
        self._seen: dict[str, tuple[str, int]] = {}
        self._rows = array("i")

    def add(self, name: str | None, at: int) -> None:
        """Append the next sample's name, `None` for none, found at place `at`.

        Raises:
            SourceError: The name equals another one but for its Unicode form.
        """
        if name is None:
            self._rows.append(NO_CODE)
            return
        code = self._codes.get(name)
        if code is None:
            self._check_form(name, at)
            code = self._codes[name] = len(self._codes)
        self._rows.append(code)

    def _check_form(self, name: str, at: int) -> None:
        other, other_at = self._seen.setdefault(unicodedata.normalize("NFC", name), (name, at))
        if other != name:
            raise SourceError(
                f"two spellings of one {self._what}, equal but for their Unicode form",
                where=f"{self._place(other_at)} and {self._place(at)}",
                got=f"{other!a} and {name!a}",
                expected="one form, preferably NFC",
                hint="write both in the same form",
            )

    def finish(self) -> tuple[NDArray[np.int32], Strings]:
        """Codes, (N,) int32, `NO_CODE` for none; and the K names, sorted by their bytes."""
        names = sorted(self._codes, key=os.fsencode)
        # One slot more: code -1 picks the last, which stays -1.
        ranks = np.full(len(names) + 1, NO_CODE, np.int32)
        ranks[[self._codes[name] for name in names]] = np.arange(len(names), dtype=np.int32)
        return ranks[np.array(self._rows, np.int32)], Strings.of(names)


def lookalikes(classes: Strings) -> list[str]:
    """A note for each two classes that differ only in case or in surrounding spaces."""
    seen: dict[str, str] = {}
    notes = []
    for name in classes.texts():
        other = seen.setdefault(name.strip().casefold(), name)
        if other != name:
            notes.append(f"classes {other!r} and {name!r} differ only in case or spaces")
    return notes
