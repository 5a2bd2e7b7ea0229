"""The part of `report.json` on rows: where they went, how they are judged, which ones stand out."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ClassRows",
    "LabelDoubt",
    "LabelDoubts",
    "Mistake",
    "NearDuplicates",
    "NearPair",
    "RowCounts",
    "Split",
]


@dataclass(frozen=True)
class RowCounts:
    """Where the rows of the cache went.

    Attributes:
        total: All rows.
        unlabelled: Without a label.
        duplicates: Equal image and equal label as a row that is used.
        conflicting: Equal image under different labels.
        train: Fitted.
        judged: Scored by a head that had not seen them.
        touched: Of the fitted ones, those that the backbone was tuned with.
    """

    total: int
    unlabelled: int
    duplicates: int
    conflicting: int
    train: int
    judged: int
    touched: int = 0

    @property
    def chosen_by(self) -> int:
        """Fitted rows whose out-of-fold answers chose the setting."""
        return self.train - self.touched


@dataclass(frozen=True)
class ClassRows:
    """A class, and its numbers of fitted and judged rows."""

    name: str
    train: int
    judged: int


@dataclass(frozen=True)
class Split:
    """How the head was judged.

    Attributes:
        kind: `hold-out` or `cross-validation`.
        source: Who decided the sides: `given`, `hash` or `folds`.
        reason: Why, in words.
        folds: Number of outer folds, 0 for a hold-out.
        fold_models: The model that each outer fold chose for itself.
        fold_settings: Its setting.
        test_openings: How many heads of the runs folder were judged on the same test rows,
            this one included; 0 for a cross-validation.
    """

    kind: str
    source: str
    reason: str
    folds: int
    fold_models: tuple[str, ...]
    fold_settings: tuple[dict[str, float], ...]
    test_openings: int


@dataclass(frozen=True)
class Mistake:
    """A judged row that the head got wrong with confidence.

    Attributes:
        id: The row's name.
        label: Its label.
        predicted: The head's answer.
        probability: What the head gave its answer.
    """

    id: str
    label: str
    predicted: str
    probability: float


@dataclass(frozen=True)
class LabelDoubt:
    """A row that looks like another class than its label says, to heads that had not seen it.

    Attributes:
        row: Its position in the cache.
        id: Its name.
        label: Its label.
        suggested: The class that it looks like.
        probability: Of the suggested class.
        self_confidence: Probability of the label.
        trained: Whether the shipped head is fitted on the row.
        judged: Whether the row is judged.
    """

    row: int
    id: str
    label: str
    suggested: str
    probability: float
    self_confidence: float
    trained: bool
    judged: bool


@dataclass(frozen=True)
class LabelDoubts:
    """Labels in doubt, by confident learning.

    Attributes:
        trained: How many of the fitted rows' labels.
        judged: How many of the judged rows' labels; in a cross-validation the same.
        listed: The most doubtful ones, at most `LISTED`.
    """

    trained: int
    judged: int
    listed: tuple[LabelDoubt, ...]

    def counted(self, rows: RowCounts, *, crossed: bool) -> str:
        """How many labels of how many, in words: `3 of 80 training labels`.

        Args:
            rows: Where the rows went.
            crossed: Whether training and judged rows are the same.
        """
        parts = [f"{self.trained:,} of {rows.train:,} training labels"] if rows.train else []
        if not crossed:
            parts.append(f"{self.judged:,} of {rows.judged:,} judged labels")
        return " and ".join(parts)


@dataclass(frozen=True)
class NearPair:
    """Two rows that show nearly the same picture, and are fitted and judged by one head.

    Attributes:
        first: Name of a row.
        second: Name of the other.
        cosine: Of their standardised features.
        difference: Mean difference of their pixels, of 255; None where a picture is gone.
    """

    first: str
    second: str
    cosine: float
    difference: float | None


@dataclass(frozen=True)
class NearDuplicates:
    """Near duplicates across the sides of the split.

    Attributes:
        count: How many there are; at least so many where `is_complete` is false.
        unlike: Pairs that the features take for the same, and the pixels do not.
        is_complete: Whether all pairs were looked at.
        together: Whether those found before the split were kept on one side.
        pairs: The most similar ones, at most `LISTED`.
    """

    count: int
    unlike: int
    is_complete: bool
    together: bool
    pairs: tuple[NearPair, ...]
