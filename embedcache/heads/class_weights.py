"""`ClassWeights`: how much a row of each class counts in the fit and in the choice.

n is the number of rows, K the number of classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UsageError

__all__ = ["BALANCED", "NONE", "ClassWeight", "ClassWeightRecord", "ClassWeights"]

NONE, BALANCED = "none", "balanced"

ClassWeight = str | Mapping[str, float]
"""What a person asks for: `none`, `balanced`, or weights by class."""


@dataclass(frozen=True)
class ClassWeightRecord:
    """The weights that a head was fitted with.

    Attributes:
        rule: `balanced`, or `given`.
        weights: Of each of the head's classes, in their order.
    """

    rule: str
    weights: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class ClassWeights:
    """A rule that gives rows their weights, from the labels of those rows alone.

    Attributes:
        given: (K,) float64; None for balanced classes.
    """

    given: NDArray[np.float64] | None

    @classmethod
    def of(cls, asked: ClassWeight, classes: Sequence[str]) -> ClassWeights | None:
        """The rule; None where every row counts the same.

        Args:
            asked: `none`, `balanced`, or weights by name; a class that is not named counts 1.
            classes: K names, in the order of the codes.

        Raises:
            UsageError: An unknown rule or class, or a weight that is not above 0 and finite.
        """
        if isinstance(asked, str):
            if asked not in {NONE, BALANCED}:
                raise UsageError(
                    "unknown class weights", got=asked, expected="none, balanced or CLASS=WEIGHT"
                )
            return cls(None) if asked == BALANCED else None
        given = np.ones(len(classes))
        for name, weight in asked.items():
            if name not in classes:
                raise UsageError(
                    "a weight for a class that has no training rows",
                    got=repr(name),
                    expected=", ".join(map(repr, classes[:20])),
                )
            if not 0 < weight < math.inf:
                raise UsageError(
                    "a class weight must be above 0 and finite", where=repr(name), got=weight
                )
            given[classes.index(name)] = weight
        return cls(given)

    def of_classes(self, labels: NDArray[np.integer]) -> NDArray[np.float64]:
        """The weight of each class up to the last one that occurs, as in scikit-learn.

        Balanced, the rows of each class weigh n / K together: King & Zeng (2001),
        *Logistic regression in rare events data*.

        Args:
            labels: (n,) codes; K counts those that occur.
        """
        rows = np.bincount(labels)
        if self.given is not None:
            return self.given[: len(rows)]
        shares = np.maximum(rows, 1) * np.count_nonzero(rows)
        balanced: NDArray[np.float64] = len(labels) / shares
        return balanced

    def of_rows(self, labels: NDArray[np.integer]) -> NDArray[np.float64]:
        """The weight of each row, (n,) float64, for codes (n,)."""
        weights: NDArray[np.float64] = self.of_classes(labels)[labels]
        return weights

    def record(self, labels: NDArray[np.integer]) -> ClassWeightRecord:
        """What a head fitted to rows of these codes, (n,), says of its weights."""
        rule = BALANCED if self.given is None else "given"
        return ClassWeightRecord(rule, tuple(map(float, self.of_classes(labels))))
