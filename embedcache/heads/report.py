"""`FitReport`, the record of `report.json`: what was fitted, how it was chosen, how good it is."""

from __future__ import annotations

from dataclasses import dataclass

from embedcache.evaluation.abstention import Abstention
from embedcache.evaluation.evaluate import Evaluation
from embedcache.heads.calibrate import Calibration
from embedcache.heads.class_weights import ClassWeightRecord
from embedcache.heads.row_records import ClassRows, LabelDoubts, Mistake
from embedcache.heads.run_report import RunReport
from embedcache.heads.shot_records import ShotCurve

__all__ = ["FitReport"]


@dataclass(frozen=True)
class FitReport(RunReport):
    """Everything known of a fit to rows of one class each.

    Attributes:
        classes: The head's classes, then those that occur in judged rows only.
        unseen: Names of the latter: every row of them is an error.
        evaluation: How good the head is.
        calibration: How far its probabilities can be believed.
        abstention: When the head answers for a wanted precision, if one was asked for.
        mistakes: The most confident ones.
        label_doubts: Labels that are probably wrong.
        shots: The few-shot curve, if one was asked for.
        class_weight: How much rows of each class counted; None where all counted the same.
    """

    classes: tuple[ClassRows, ...]
    unseen: tuple[str, ...]
    evaluation: Evaluation
    calibration: Calibration
    abstention: Abstention | None
    mistakes: tuple[Mistake, ...]
    label_doubts: LabelDoubts
    shots: ShotCurve | None = None
    class_weight: ClassWeightRecord | None = None
