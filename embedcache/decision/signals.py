"""`Signals`: all that is measured on training rows before a verdict.

Shares and accuracies lie between 0 and 1; gains are differences of accuracies.
"""

from __future__ import annotations

from dataclasses import dataclass

from embedcache.evaluation.intervals import Interval
from embedcache.evaluation.learning_curve import Doubling

__all__ = [
    "Contest",
    "CurvePoint",
    "Doubt",
    "Duplicates",
    "HeadScore",
    "OtherFeatures",
    "Shortcut",
    "Signals",
]


@dataclass(frozen=True)
class HeadScore:
    """A head beside the one that is decided about, on the same rows.

    Attributes:
        name: Of the head.
        accuracy: Out of fold.
        gain: `accuracy` minus that of the other.
        low: Lower end of the gain's interval; of a contest all hold at once, at 95 %.
        high: Upper end.
    """

    name: str
    accuracy: float
    gain: float
    low: float
    high: float


@dataclass(frozen=True)
class Contest:
    """Heads against the one that is decided about.

    Attributes:
        rows: They were compared on.
        accuracy: Of the one that is decided about, on these rows.
        heads: The others, the best first.
        left_out: Heads that were not tried, with the reason.
    """

    rows: int
    accuracy: float
    heads: tuple[HeadScore, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class OtherFeatures:
    """The same images in another cache, by the same kind of head.

    Attributes:
        cache: File of the cache.
        rows: Images that both have.
        score: Its gain, with a 95 % interval for this pair alone.
    """

    cache: str
    rows: int
    score: HeadScore


@dataclass(frozen=True)
class Doubt:
    """A training row whose label is in doubt.

    Attributes:
        id: Its name.
        row: Of the cache.
        label: As given.
        suggestion: The class that it looks like.
        margin: Probability of that class minus that of the label.
    """

    id: str
    row: int
    label: str
    suggestion: str
    margin: float


@dataclass(frozen=True)
class Duplicates:
    """Training rows that have a near duplicate in another fold.

    Attributes:
        rows: Searched.
        confirmed: Rows with a duplicate that the pixels confirm.
        unconfirmed: Further rows, of which a picture is not there any more.
        is_complete: Whether all pairs were looked at.
        copies: Training rows whose very image the source also sets aside for judging.
    """

    rows: int
    confirmed: int
    unconfirmed: int
    is_complete: bool
    copies: int


@dataclass(frozen=True)
class CurvePoint:
    """A point of the learning curve: rows fitted, accuracy out of fold, and its interval."""

    rows: int
    accuracy: float
    interval: Interval | None


@dataclass(frozen=True)
class Shortcut:
    """The one feature that best tells a class from the rest.

    Attributes:
        feature: Its column.
        name: Of the class.
        auroc: Area under the ROC curve, at least 0.5.
    """

    feature: int
    name: str
    auroc: float


@dataclass(frozen=True)
class Signals:
    """What was measured.

    Attributes:
        rows: Training rows.
        aside: Rows set aside for judging; not read.
        classes: Number of classes.
        dim: Embedding dimension.
        majority: Share of the most frequent class.
        model: Name of the head that is decided about.
        setting: Its parameters.
        chosen_on: Rows that they were chosen on.
        on_edge: Whether the best setting is at the end of its grid.
        converged: Whether the fits at the setting converged.
        accuracy: Out of fold.
        interval: Wilson's, 95 %; None where rows or groups are too few for one.
        doubtful: Rows whose label is likely wrong.
        surest_error: Share of labels that contradict the answers that the head is surest of.
        conflicting: Rows left out because the same image has several labels.
        doubts: The most doubtful rows, at most `LISTED` of `heads.reporting`.
        duplicates: Near duplicates between folds.
        contest: Other heads.
        elsewhere: Other caches that were asked about.
        discordance: Share of rows that just one of this head and an RBF machine has right.
        changing: Share of rows that a pilot is taken to change: so many, but no more than a cure of
            three quarters of the errors allows, which can only win rows that are wrong.
        validation_rows: Rows of the one part that a pilot is measured on where these suffice.
        detectable: Least gain that these show at 80 % power; None where they show none.
        detectable_crossed: Likewise of all training rows, each part validated by a training.
        rows_needed: Training rows that would do, cross-fitted; None where it is millions.
        curve: Learning curve, the smallest training set first.
        doubling: What twice the rows promise.
        train_accuracy: Of the head on the rows that it was fitted on.
        shortcut: The strongest single feature; None where classes are too small to tell.
    """

    rows: int
    aside: int
    classes: int
    dim: int
    majority: float
    model: str
    setting: dict[str, float]
    chosen_on: int
    on_edge: bool
    converged: bool
    accuracy: float
    interval: Interval | None
    doubtful: int
    surest_error: float
    conflicting: int
    doubts: tuple[Doubt, ...]
    duplicates: Duplicates
    contest: Contest
    elsewhere: tuple[OtherFeatures, ...]
    discordance: float
    changing: float
    validation_rows: int
    detectable: float | None
    detectable_crossed: float | None
    rows_needed: int | None
    curve: tuple[CurvePoint, ...]
    doubling: Doubling
    train_accuracy: float
    shortcut: Shortcut | None

    @property
    def error(self) -> float:
        """Out of fold."""
        return 1 - self.accuracy

    @property
    def most_error(self) -> float:
        """Its upper bound; 1 where there is no interval."""
        return 1.0 if self.interval is None else 1 - self.interval.low

    @property
    def doubtful_share(self) -> float:
        """Of all labelled training rows, those of contradicting labels included."""
        return (self.doubtful + self.conflicting) / (self.rows + self.conflicting)

    @property
    def contradicted_share(self) -> float:
        """Labels that contradict the surest answers, or one another on the same image."""
        wrong = self.surest_error * self.rows + self.conflicting
        return wrong / (self.rows + self.conflicting)

    @property
    def duplicate_share(self) -> float:
        """Training rows with a confirmed duplicate in another fold or among those set aside."""
        found = self.duplicates
        return max(found.confirmed / found.rows, found.copies / self.rows)
