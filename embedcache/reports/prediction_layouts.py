"""Layouts: the columns of a file of predictions, and what stands in them.

K is the number of classes, or of labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.multilabel import THRESHOLD

__all__ = ["Layout", "RankedLayout", "SetLayout"]


class Layout(Protocol):
    """Which columns a file of predictions has."""

    @property
    def header(self) -> list[str]:
        """Names of the columns, `id` first and `error` last."""

    def kind(self, column: str) -> str:
        """What a column holds: `text`, `flag`, `number` or `texts`, a list."""

    def cells(self, probabilities: NDArray[np.float64], *, abstained: bool) -> dict[str, Any]:
        """The cells of a prediction, (K,); those that are left out are empty."""


@dataclass(frozen=True)
class RankedLayout:
    """The likeliest classes of a row that has one.

    Attributes:
        classes: K names.
        top: How many classes each row names, 1 to K.
        marks: Whether a column says which rows the head abstained from.
        answers_all: Whether these rows name classes all the same.
    """

    classes: Sequence[str]
    top: int = 1
    marks: bool = False
    answers_all: bool = False

    @property
    def header(self) -> list[str]:
        """`id`, `abstained`, `label_1`, `probability_1`, … and `error`."""
        ranks = range(1, self.top + 1)
        pairs = [name for rank in ranks for name in (f"label_{rank}", f"probability_{rank}")]
        return ["id", *(["abstained"] if self.marks else []), *pairs, "error"]

    def kind(self, column: str) -> str:
        """As in `Layout`."""
        if column == "abstained":
            return "flag"
        return "number" if column.startswith("probability_") else "text"

    def cells(self, probabilities: NDArray[np.float64], *, abstained: bool) -> dict[str, Any]:
        """The likeliest classes first."""
        best = np.argsort(-probabilities, kind="stable")[: self.top]
        cells: dict[str, Any] = {"abstained": abstained} if self.marks else {}
        for rank, which in enumerate(best, start=1):
            # No label: who reads no other column must not take a guess for an answer.
            if self.answers_all or not abstained:
                cells[f"label_{rank}"] = self.classes[int(which)]
            cells[f"probability_{rank}"] = float(probabilities[which])
        return cells


@dataclass(frozen=True)
class SetLayout:
    """All labels of a row that has any number of them.

    Attributes:
        names: K names.
    """

    names: Sequence[str]

    @property
    def header(self) -> list[str]:
        """`id`, `labels`, one `probability_NAME` for each label and `error`."""
        return ["id", "labels", *map(_probability, self.names), "error"]

    def kind(self, column: str) -> str:
        """As in `Layout`."""
        if column == "labels":
            return "texts"
        return "text" if column in {"id", "error"} else "number"

    def cells(
        self,
        probabilities: NDArray[np.float64],
        *,
        abstained: bool,  # noqa: ARG002  # a head of labels never abstains
    ) -> dict[str, Any]:
        """The labels that are answered, and the probability of each."""
        answered = [self.names[int(which)] for which in np.flatnonzero(probabilities > THRESHOLD)]
        shares = {
            _probability(name): float(share)
            for name, share in zip(self.names, probabilities, strict=True)
        }
        return {"labels": answered, **shares}


def _probability(name: str) -> str:
    return f"probability_{name}"
