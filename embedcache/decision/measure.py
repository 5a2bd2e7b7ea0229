"""`measure`: from training rows to the signals of a decision.

N is the number of rows, K the number of classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcache.decision.contest import Outcome, contest, sample_size
from embedcache.decision.out_of_fold import curve_errors, out_of_fold
from embedcache.decision.shortcuts import strongest_feature
from embedcache.decision.signals import (
    CurvePoint,
    Doubt,
    Duplicates,
    OtherFeatures,
    Signals,
)
from embedcache.decision.thresholds import DETECTABLE, EASY, LEVEL
from embedcache.decision.training_rows import TrainingRows
from embedcache.evaluation.intervals import share_interval, wilson
from embedcache.evaluation.label_errors import label_errors, surest_error
from embedcache.evaluation.learning_curve import doubling
from embedcache.evaluation.power import minimum_detectable_gain, rows_for_gain
from embedcache.evaluation.splits import FOLDS
from embedcache.heads.judging import answers
from embedcache.heads.models.index import MODELS
from embedcache.heads.near_duplicates import Picture, near_duplicates
from embedcache.records.strings import Strings

__all__ = ["LISTED", "Asked", "Measured", "measure"]

LISTED = 100
"""At most so many rows in doubt are listed; all are counted."""

_SEARCHED = 20_000  # rows whose pairs are looked at: 200 million, some seconds
_MOST_ROWS = 10_000_000


@dataclass(frozen=True, eq=False)
class Asked:
    """What is to be decided about.

    Attributes:
        model: Name of the head.
        values: Exactly these values of its parameter; None for its own grid.
        min_gain: Gain of accuracy that is worth the work.
        progress: Told what is being computed.
    """

    model: str
    values: tuple[float, ...] | None
    min_gain: float
    progress: Callable[[str], None] | None

    def told(self, text: str) -> None:
        """Pass it on, if anybody listens."""
        if self.progress is not None:
            self.progress(text)


@dataclass(frozen=True, eq=False)
class Measured:
    """Signals, and the errors behind them.

    Attributes:
        signals: What the verdict is made of.
        hits: (N,) bool, which rows the head has right, out of fold.
        c: Chosen for the softmax regression, whatever head is decided about.
    """

    signals: Signals
    hits: NDArray[np.bool_]
    c: float


def measure(
    rows: TrainingRows,
    asked: Asked,
    ids: Strings,
    picture: Picture,
    elsewhere: tuple[OtherFeatures, ...] = (),
) -> Measured:
    """Measure everything that is read before a pilot.

    The head's setting is chosen, and heads are compared, on a sample where rows are
    many; accuracy, labels in doubt and the learning curve are of all rows.

    Args:
        rows: The N training rows.
        asked: What is decided about.
        ids: Names of the cache's rows.
        picture: Of a row of the cache.
        elsewhere: What other caches gave.
    """
    sample = rows.sample(sample_size(rows.features.dim, len(rows.classes)))
    outcome = contest(sample, asked.model, asked.values, asked.progress)
    record, model = outcome.chosen.record, MODELS[asked.model]
    asked.told(f"{len(rows)} rows out of fold")
    probabilities = out_of_fold(rows, model, record.setting)
    wrong = probabilities.argmax(axis=1) != rows.labels
    asked.told("learning curve")
    sizes, errors = curve_errors(rows, model, record.setting, wrong)
    asked.told("near duplicates")
    duplicates = _duplicates(rows, picture)
    doubts = label_errors(rows.labels, probabilities)
    error, interval = float(wrong.mean()), share_interval(~wrong, rows.group)
    validation = len(rows) // FOLDS
    # A cure of three quarters of the errors wins at most all of them and loses the other quarter.
    changing = min(outcome.discordance, (2 - DETECTABLE.value) * error)
    signals = Signals(
        rows=len(rows),
        aside=rows.aside,
        classes=len(rows.classes),
        dim=rows.features.dim,
        majority=float(np.bincount(rows.labels).max() / len(rows)),
        model=asked.model,
        setting=record.setting,
        chosen_on=len(sample),
        on_edge=record.on_edge,
        converged=all(s.converged for s in record.scores if s.setting == record.setting),
        accuracy=1 - error,
        interval=interval,
        doubtful=len(doubts.row),
        surest_error=surest_error(rows.labels, probabilities),
        conflicting=rows.conflicting,
        doubts=tuple(
            Doubt(ids.text(row), row, rows.classes[label], rows.classes[guess], margin)
            for row, label, guess, margin in _first(
                rows.row[doubts.row], rows.labels[doubts.row], doubts.suggestion, doubts.margin
            )
        ),
        duplicates=duplicates,
        contest=outcome.record,
        elsewhere=elsewhere,
        discordance=outcome.discordance,
        changing=changing,
        validation_rows=validation,
        detectable=minimum_detectable_gain(changing, validation, LEVEL.value),
        detectable_crossed=minimum_detectable_gain(changing, len(rows), LEVEL.value),
        rows_needed=_rows_needed(error, changing, asked.min_gain),
        curve=tuple(
            CurvePoint(int(size), 1 - float(each.mean()), share_interval(~each, rows.group))
            for size, each in zip(sizes, errors, strict=True)
        ),
        doubling=doubling(errors, rows.group, seed=rows.training.seed),
        train_accuracy=_train_accuracy(sample, outcome, asked.model),
        shortcut=strongest_feature(sample),
    )
    return Measured(signals, ~wrong, outcome.c)


def _first(*columns: NDArray[Any]) -> zip[tuple[Any, ...]]:
    return zip(*(column[:LISTED].tolist() for column in columns), strict=True)


def _rows_needed(error: float, changing: float, min_gain: float) -> int | None:
    """Training rows that could tell: that the error is small, or that most of it can be cured."""
    if error < min_gain:
        count = 8
        while 1 - wilson(round((1 - error) * count), count).low >= EASY.value * min_gain:
            count *= 2
            if count > _MOST_ROWS:
                return None
        return count
    return rows_for_gain(DETECTABLE.value * error, changing, LEVEL.value)


def _duplicates(rows: TrainingRows, picture: Picture) -> Duplicates:
    searched = rows.sample(_SEARCHED)
    features = type(rows.features)(rows.features.table, searched.row)
    pairs = near_duplicates(features, searched.folds, picture)
    sure = np.isfinite(pairs.difference)
    confirmed = np.unique(np.r_[pairs.first[sure], pairs.second[sure]])
    every = np.unique(np.r_[pairs.first, pairs.second])
    return Duplicates(
        len(searched), len(confirmed), len(every) - len(confirmed), pairs.is_complete, rows.copies
    )


def _train_accuracy(sample: TrainingRows, outcome: Outcome, model: str) -> float:
    made = MODELS[model].fit(sample.training, outcome.chosen.record.setting)
    found = answers(made.form, sample.features).argmax(axis=1)
    return float((found == sample.labels).mean())
