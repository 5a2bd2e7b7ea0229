"""`Material`: all that the page shows, gathered before a line of it is written.

J is the number of judged rows, K the number of classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.report import FitReport
from embedcache.records.rejects import Reject
from embedcache.records.strings import Strings

__all__ = ["Material"]


@dataclass(frozen=True, eq=False)
class Material:
    """What is known of a run and of the rows behind it.

    Attributes:
        report: What was fitted, how it was chosen and how good it is.
        row: (J,) int64, the judged rows' positions in `ids`.
        labels: (J,) int32, positions in `report.classes`.
        group: (J,) int32, what belongs together, negative for none.
        probabilities: (J, K) float32, by heads that had not seen the row.
        ids: Names of all rows.
        picture: The picture of a row as a data URI; None where it is not there any more.
        rejects: Inputs that have no row.
        commands: What to type to repeat it, in order.
        versions: Of the software that fitted, by name.
    """

    report: FitReport
    row: NDArray[np.int64]
    labels: NDArray[np.int32]
    group: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    ids: Strings
    picture: Callable[[int], str | None]
    rejects: tuple[Reject, ...]
    commands: tuple[str, ...]
    versions: Mapping[str, str]

    def class_name(self, code: int) -> str:
        """The class of a column."""
        return self.report.classes[code].name
