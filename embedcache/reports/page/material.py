"""`Material`: all that the page shows, gathered before a line of it is written.

J is the number of judged rows, K the number of classes, or of labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.run_report import RunReport
from embedcache.records.label_arrays import Labels
from embedcache.records.rejects import Reject
from embedcache.records.strings import Strings

__all__ = ["Material"]

Report_co = TypeVar("Report_co", bound=RunReport, covariant=True)


@dataclass(frozen=True, eq=False)
class Material(Generic[Report_co]):
    """What is known of a run and of the rows behind it.

    Attributes:
        report: What was fitted, how it was chosen and how good it is.
        row: (J,) int64, the judged rows' positions in `ids`.
        labels: (J,) int32, positions in `report.classes`; or (J, K) uint8, 1 where the row has
            the label.
        group: (J,) int32, what belongs together, negative for none.
        probabilities: (J, K) float32, by heads that had not seen the row: of the classes, or of
            the presence of each label.
        ids: Names of all rows.
        picture: The picture of a row as a data URI; None where it is not there any more.
        rejects: Inputs that have no row.
        commands: What to type to repeat it, in order.
        versions: Of the software that fitted, by name.
    """

    report: Report_co
    row: NDArray[np.int64]
    labels: Labels
    group: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    ids: Strings
    picture: Callable[[int], str | None]
    rejects: tuple[Reject, ...]
    commands: tuple[str, ...]
    versions: Mapping[str, str]
