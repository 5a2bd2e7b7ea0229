"""`FitReport`, the record of `report.json`: what was fitted, how it was chosen, how good it is."""

from __future__ import annotations

from dataclasses import dataclass

from embedcache.evaluation.abstention import Abstention
from embedcache.evaluation.evaluate import Evaluation
from embedcache.heads.calibrate import Calibration
from embedcache.heads.choice_records import Leaderboard, SelectionRecord
from embedcache.heads.class_weights import ClassWeightRecord
from embedcache.heads.cleaning import Conflict, Crossing
from embedcache.heads.row_records import (
    ClassRows,
    LabelDoubts,
    Mistake,
    NearDuplicates,
    RowCounts,
    Split,
)
from embedcache.heads.shot_records import ShotCurve
from embedcache.records.feature_source import FeatureSource, joined_name

__all__ = ["FitReport"]


@dataclass(frozen=True)
class FitReport:
    """Everything known of a fit.

    Attributes:
        format: Version of this record.
        dataset: Name of the data set.
        sources: Where the features are from, in the order of their columns.
        model: Name of the model.
        seed: Of folds and bootstrap.
        dim: Embedding dimension.
        converged: Whether the shipped head's fit converged.
        iterations: Solver iterations of that fit.
        rows: Where the rows went.
        classes: The head's classes, then those that occur in judged rows only.
        unseen: Names of the latter: every row of them is an error.
        split: How the head was judged.
        selection: How its setting was chosen.
        leaderboard: How the model was chosen, if it was.
        evaluation: How good the head is.
        calibration: How far its probabilities can be believed.
        abstention: When the head answers for a wanted precision, if one was asked for.
        mistakes: The most confident ones.
        label_doubts: Labels that are probably wrong.
        conflicts: Images with contradicting labels, at most `LISTED`.
        crossings: Images on both sides of the source's split, at most `LISTED`.
        crossing_count: How many there are.
        notes: What a person should know.
        near_duplicates: Across sides; None where nobody looked.
        shots: The few-shot curve, if one was asked for.
        class_weight: How much rows of each class counted; None where all counted the same.
    """

    format: int
    dataset: str
    sources: tuple[FeatureSource, ...]
    model: str
    seed: int
    dim: int
    converged: bool
    iterations: int
    rows: RowCounts
    classes: tuple[ClassRows, ...]
    unseen: tuple[str, ...]
    split: Split
    selection: SelectionRecord
    leaderboard: Leaderboard | None
    evaluation: Evaluation
    calibration: Calibration
    abstention: Abstention | None
    mistakes: tuple[Mistake, ...]
    label_doubts: LabelDoubts
    conflicts: tuple[Conflict, ...]
    crossings: tuple[Crossing, ...]
    crossing_count: int
    notes: tuple[str, ...]
    near_duplicates: NearDuplicates | None
    shots: ShotCurve | None = None
    class_weight: ClassWeightRecord | None = None

    @property
    def backbone(self) -> str:
        """The backbone's name, or the names of several."""
        return joined_name(self.sources)
