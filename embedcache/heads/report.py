"""The records of `report.json`: what was fitted, how it was chosen and how good it is.

K is the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

from embedcache.evaluation.abstention import Abstention
from embedcache.evaluation.evaluate import Evaluation
from embedcache.heads.calibrate import Calibration
from embedcache.heads.cleaning import Conflict, Crossing

__all__ = [
    "ClassRows",
    "Contender",
    "FitReport",
    "Leaderboard",
    "Mistake",
    "NearDuplicates",
    "NearPair",
    "RowCounts",
    "SelectionRecord",
    "SettingScore",
    "Split",
]


@dataclass(frozen=True)
class SettingScore:
    """One setting of a model on the out-of-fold rows.

    Attributes:
        setting: The model's parameters by name, the one that was climbed first; empty for
            a model without parameters.
        loss: Mean out-of-fold loss, of the metric that chose.
        difference: `loss` minus that of the best setting, over the same rows.
        difference_error: Standard error of the difference.
        accuracy: Out-of-fold accuracy.
        converged: Whether all fits reached the selection's tolerance.
        iterations: Solver iterations, all folds together.
    """

    setting: dict[str, float]
    loss: float
    difference: float
    difference_error: float
    accuracy: float
    converged: bool
    iterations: int


@dataclass(frozen=True)
class SelectionRecord:
    """How the setting was chosen.

    Attributes:
        setting: The choice: the simplest within one paired standard error of the best.
        best: The setting of the lowest loss.
        metric: `log_loss`, `accuracy` or `balanced_accuracy`.
        folds: Number of folds; the number of rows where each was left out alone.
        scores: Every setting that was fitted, from the strongest regularisation.
        on_edge: Whether the lowest loss is at an end of the grid, and the grid at its widest.
        stopped_early: Whether weaker regularisation was left out, as worse beyond doubt or
            with nothing to gain.
    """

    setting: dict[str, float]
    best: dict[str, float]
    metric: str
    folds: int
    scores: tuple[SettingScore, ...]
    on_edge: bool
    stopped_early: bool


@dataclass(frozen=True)
class Contender:
    """A model among others, over the same out-of-fold rows.

    Attributes:
        model: Its name.
        setting: What it chose.
        loss: Mean out-of-fold loss, of the metric that chose.
        accuracy: Out-of-fold accuracy.
        difference: `loss` minus that of the winner.
        low: Lower end of the difference's simultaneous 95 % interval.
        high: Upper end.
    """

    model: str
    setting: dict[str, float]
    loss: float
    accuracy: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Leaderboard:
    """How the model was chosen.

    Attributes:
        metric: What ranks.
        contenders: The winner first, then by rising loss.
        left_out: Models that were not tried, each with the reason.
    """

    metric: str
    contenders: tuple[Contender, ...]
    left_out: tuple[str, ...]


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
    """

    total: int
    unlabelled: int
    duplicates: int
    conflicting: int
    train: int
    judged: int


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


@dataclass(frozen=True)
class FitReport:
    """Everything known of a fit.

    Attributes:
        format: Version of this record.
        dataset: Name of the data set.
        backbone: Name of the backbone.
        identity: Digest of the backbone's identity, hexadecimal.
        content_digest: Of the cache.
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
        abstention: When to answer for a wanted precision, if one was asked for.
        mistakes: The most confident ones.
        conflicts: Images with contradicting labels, at most `LISTED`.
        crossings: Images on both sides of the source's split, at most `LISTED`.
        crossing_count: How many there are.
        notes: What a person should know.
        near_duplicates: Across sides; None where nobody looked.
    """

    format: int
    dataset: str
    backbone: str
    identity: str
    content_digest: str
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
    conflicts: tuple[Conflict, ...]
    crossings: tuple[Crossing, ...]
    crossing_count: int
    notes: tuple[str, ...]
    near_duplicates: NearDuplicates | None = None
