"""`MultilabelReport`, the record of `report.json` where rows have any number of labels."""

from __future__ import annotations

from dataclasses import dataclass

from embedcache.evaluation.multilabel import MultilabelEvaluation
from embedcache.heads.row_records import RowCounts
from embedcache.heads.run_report import RunReport

__all__ = ["LabelRows", "MarkDoubt", "MarkDoubts", "MarkMistake", "MultilabelReport"]


@dataclass(frozen=True)
class LabelRows:
    """A label, and how many fitted and judged rows have it.

    Attributes:
        name: Of the label.
        train: Fitted rows that have it.
        judged: Judged rows that have it.
        temperature: What its scores were divided by; 1 where the model's scores are logits.
    """

    name: str
    train: int
    judged: int
    temperature: float


@dataclass(frozen=True)
class MarkMistake:
    """A label of a judged row that the head got wrong with confidence.

    Attributes:
        id: The row's name.
        label: The label.
        has: Whether the row has it.
        probability: What the head gave its presence.
    """

    id: str
    label: str
    has: bool
    probability: float


@dataclass(frozen=True)
class MarkDoubt:
    """A label that a row has, or lacks, and seems not to, to heads that had not seen it.

    Attributes:
        row: The row's position in the cache.
        id: Its name.
        label: The label.
        has: Whether the row has it.
        probability: What heads gave its presence.
        trained: Whether the shipped head is fitted on the row.
        judged: Whether the row is judged.
    """

    row: int
    id: str
    label: str
    has: bool
    probability: float
    trained: bool
    judged: bool


@dataclass(frozen=True)
class MarkDoubts:
    """Labels in doubt, each by confident learning against its absence.

    Attributes:
        trained: How many pairs of a fitted row and a label.
        judged: How many pairs of a judged row and a label; in a cross-validation the same.
        listed: The most doubtful ones, at most `LISTED`.
    """

    trained: int
    judged: int
    listed: tuple[MarkDoubt, ...]

    def counted(self, rows: RowCounts, k: int, *, crossed: bool) -> str:
        """How many of how many, in words: `3 of 80 training marks`.

        Args:
            rows: Where the rows went.
            k: Number of labels.
            crossed: Whether training and judged rows are the same.
        """
        parts = [f"{self.trained:,} of {rows.train * k:,} training marks"]
        if not crossed:
            parts.append(f"{self.judged:,} of {rows.judged * k:,} judged marks")
        return " and ".join(parts)


@dataclass(frozen=True)
class MultilabelReport(RunReport):
    """Everything known of a fit to rows that have any number of labels.

    Attributes:
        labels: In the order of the probabilities.
        evaluation: How good the head is.
        ece: Expected calibration error of the labels' probabilities, all labels together.
        mistakes: The most confident ones.
        label_doubts: Labels that are probably wrong or missing.
    """

    labels: tuple[LabelRows, ...]
    evaluation: MultilabelEvaluation
    ece: float
    mistakes: tuple[MarkMistake, ...]
    label_doubts: MarkDoubts
